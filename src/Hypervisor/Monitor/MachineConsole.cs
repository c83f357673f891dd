using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// The machine's link to its host, shared by log, monitor, events and every guest's console: the UART, and a virtio
/// serial port where the machine has one. Text mode for a person is the UART's; framed mode for a program
/// (docs/protocol.md) belongs to the one of the two that a zero byte came from. Each message goes out whole, whichever
/// core sends it.
/// </summary>
internal static class MachineConsole
{
    /// <summary>Messages that the port keeps room for: a console waits, so that an answer need not.</summary>
    private const int PortReserve = 2;

    private static PhysicalUart _uart;
    private static SerialPort _port;
    private static bool _isOnPort;
    private static SpinLock _lock;
    private static byte _sequence;

    /// <summary>In text mode: the guest's channel whose line is not ended yet, or Log.</summary>
    private static Channel _lineOf;
    private static bool _panicking;

    /// <summary>Frames, or plain lines.</summary>
    internal static bool IsFramed { get; private set; }

    /// <summary>Whether there is a UART yet.</summary>
    internal static bool Exists => _uart.Exists;

    /// <summary>The port's interrupt; 0 when there is no port.</summary>
    internal static uint PortInterrupt => _port.Interrupt;

    /// <summary>
    /// Bytes of a guest's console that are sent at once: what an order may have to wait for on the UART.
    /// </summary>
    internal static int PieceBytes => _isOnPort ? FrameFormat.MaximumPayload : 256;

    /// <summary>Sets UART and port; until then everything is dropped.</summary>
    internal static void Initialize(PhysicalUart uart, SerialPort port)
    {
        _uart = uart;
        _port = port;
    }

    /// <summary>Switches to frames. The delimiter first: whatever came before is no frame.</summary>
    internal static void UseFrames()
    {
        Acquire();
        _sequence = 0;
        IsFramed = true;
        SendDelimiter();
        Release();
    }

    /// <summary>Back to the UART and its lines.</summary>
    internal static void UseText()
    {
        IsFramed = false;
        _isOnPort = false;
    }

    /// <summary>
    /// Whether a piece of a guest's console can be sent without waiting for the host. A UART takes bytes, if slowly; a
    /// port takes nothing while its host reads nothing.
    /// </summary>
    internal static bool TakesConsole()
    {
        if (!_isOnPort)
        {
            return true;
        }

        Acquire();
        bool hasRoom = _port.CountRoom() > PortReserve || !_port.Exists;
        Release();
        return hasRoom;
    }

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
            FrameEncoder frame = new(channel, _sequence++, message);
            if (IsPortReady())
            {
                _port.Send(frame.WriteTo(_port.NextMessage()));
            }
            else
            {
                WireSink sink = default;
                frame.WriteTo(ref sink);
            }
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
        if (!_panicking)
        {
            _panicking = true;
            _isOnPort = _isOnPort && _port.TryStart(); // another core may have been in the middle of something
        }

        _uart.ForgetRoom();
        if (IsFramed)
        {
            SendDelimiter(); // ends whatever frame was cut in two
        }

        Send(Channel.Panic, line);
    }

    /// <summary>
    /// Waits until all is out, so that a power-off does not swallow it; no longer than a second for a port whose host
    /// does not read.
    /// </summary>
    internal static void Drain()
    {
        _uart.Drain();
        ulong patience = Instructions.ReadCounter() + Instructions.ReadCounterFrequency();
        while (_isOnPort && _port.Exists && _port.CountRoom() < DriverQueue.Entries
            && Instructions.ReadCounter() < patience)
        {
        }
    }

    /// <summary>
    /// The next byte for the monitor. In text mode that is what a person types at the UART, until a zero byte comes to
    /// the port: from then on it is what comes there, and the UART goes unheard.
    /// </summary>
    internal static bool TryRead(out byte value)
    {
        if (_isOnPort ? _port.TryRead(out value) : _uart.TryRead(out value))
        {
            return true;
        }

        while (!IsFramed && !_isOnPort && _port.Exists && _port.TryRead(out value))
        {
            if (value == FrameFormat.Delimiter)
            {
                _isOnPort = true;
                return true;
            }
        }

        return false;
    }

    /// <summary>The UART has something: dropped, when the port is heard.</summary>
    internal static void DropUnheard()
    {
        while (_isOnPort && _uart.TryRead(out _))
        {
        }
    }

    internal static void AcknowledgePort() => _port.AcknowledgeInterrupt();

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

    private static void SendDelimiter()
    {
        if (IsPortReady())
        {
            _port.NextMessage()[0] = FrameFormat.Delimiter;
            _port.Send(1);
        }
        else
        {
            _uart.Write(FrameFormat.Delimiter);
        }
    }

    /// <summary>Whether what is sent goes to the port; waits until that has room. One that fails is left.</summary>
    private static bool IsPortReady()
    {
        while (_isOnPort && _port.CountRoom() == 0)
        {
            _isOnPort = _port.Exists;
        }

        _isOnPort = _isOnPort && _port.Exists;
        return _isOnPort;
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
