using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// The machine's one UART, shared by log, monitor, events and every guest's console. Text mode for a person, framed
/// mode for a program (docs/protocol.md); each message goes out whole, whichever core sends it.
/// </summary>
internal static class MachineConsole
{
    private static PhysicalUart _uart;
    private static SpinLock _lock;
    private static byte _sequence;

    /// <summary>In text mode: the guest's channel whose line is not ended yet, or Log.</summary>
    private static Channel _lineOf;
    private static bool _panicking;

    /// <summary>Frames, or plain lines.</summary>
    internal static bool IsFramed { get; private set; }

    /// <summary>Whether there is a UART yet.</summary>
    internal static bool Exists => _uart.Exists;

    /// <summary>Sets the UART; until then everything is dropped.</summary>
    internal static void Initialize(PhysicalUart uart) => _uart = uart;

    /// <summary>Switches to frames. The delimiter first: whatever came before is no frame.</summary>
    internal static void UseFrames()
    {
        Acquire();
        _sequence = 0;
        IsFramed = true;
        _uart.Write(FrameFormat.Delimiter);
        Release();
    }

    internal static void UseText() => IsFramed = false;

    /// <summary>A line of diagnostics for people.</summary>
    internal static void Log(ReadOnlySpan<byte> line) => Send(Channel.Log, line);

    /// <summary>A message on a channel; in text mode a line.</summary>
    /// <param name="channel">Which stream.</param>
    /// <param name="message">At most <see cref="FrameFormat.MaximumPayload"/> bytes; what exceeds is cut off.</param>
    internal static void Send(Channel channel, ReadOnlySpan<byte> message) =>
        Send(channel, message, default, default, isPiece: false);

    /// <summary>
    /// What a guest prints, as it comes. In text mode its name stands before each piece, unless the piece goes on with
    /// the line that the one before it began.
    /// </summary>
    internal static void SendConsole(
        Channel channel, ReadOnlySpan<byte> message, ReadOnlySpan<byte> name, bool continuesLine) =>
        Send(channel, message, continuesLine && _lineOf == channel ? default : name, name, isPiece: true);

    private static void Send(
        Channel channel, ReadOnlySpan<byte> message, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> name, bool isPiece)
    {
        if (!_uart.Exists)
        {
            return;
        }

        Acquire();
        if (IsFramed)
        {
            WireSink sink = default;
            new FrameEncoder(channel, _sequence++, message).WriteTo(ref sink);
        }
        else
        {
            if (_lineOf != Channel.Log && prefix.Length != 0 | !isPiece)
            {
                WriteText("\n"u8); // another sender's line was left open
            }

            if (isPiece)
            {
                WriteForeign(message, prefix, name);
            }
            else
            {
                WriteText(message);
            }

            bool isOpen = message.Length == 0 || message[message.Length - 1] != '\n';
            _lineOf = isOpen && isPiece ? channel : Channel.Log;
            if (isOpen && !isPiece)
            {
                WriteText("\n"u8);
            }
        }

        Release();
    }

    /// <summary>Text without a line's end, in text mode only: the prompt and the echo of what a person types.</summary>
    internal static void Echo(ReadOnlySpan<byte> text)
    {
        Acquire();
        WriteText(text);
        Release();
    }

    /// <summary>
    /// The last words: from here on no lock is waited for, because the core that holds it may be the one that failed.
    /// </summary>
    internal static void Panic(ReadOnlySpan<byte> line)
    {
        _panicking = true;
        _uart.ForgetRoom();
        if (IsFramed)
        {
            _uart.Write(FrameFormat.Delimiter); // ends whatever frame was cut in two
        }

        Send(Channel.Panic, line);
    }

    internal static void Drain() => _uart.Drain();

    internal static bool TryRead(out byte value) => _uart.TryRead(out value);

    internal static void EnableReceive() => _uart.EnableReceive();

    /// <param name="text">UTF-8 with \n at line ends.</param>
    private static void WriteText(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))
            {
                _uart.Write((byte)'\r');
            }

            _uart.Write(text[i]);
        }
    }

    /// <summary>
    /// A guest's text, its name before each line. What could play with the reader's terminal is replaced, and carriage
    /// returns are left out: one in the middle of a line would let the guest write over its name.
    /// </summary>
    private static void WriteForeign(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> name)
    {
        WriteText(prefix);
        for (int i = 0; i < text.Length; i++)
        {
            byte value = text[i];
            if (value == '\n')
            {
                WriteText("\n"u8);
                WriteText(i + 1 < text.Length ? name : default);
            }
            else if (value != '\r')
            {
                _uart.Write(value == '\t' || SafeText.IsSafeByte(value) ? value : SafeText.Replacement);
            }
        }
    }

    private static void Acquire()
    {
        if (!_panicking)
        {
            _lock.Enter();
        }
    }

    private static void Release()
    {
        if (!_panicking)
        {
            _lock.Leave();
        }
    }

    private readonly struct WireSink : IByteSink
    {
        public void Write(byte value) => _uart.Write(value);
    }
}
