using System;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// The monitor for a person at the UART: a prompt, echo, a line with backspace. Same commands as in frames.
/// </summary>
internal static class TextConsole
{
    private const byte Backspace = 8;
    private const byte Delete = 127;
    private const byte KillLine = 21; // Ctrl-U

    private static Line _line;
    private static int _length;

    internal static void Greet()
    {
        MachineConsole.Log("Quietus 0.1.0 - a hypervisor whose virtual machines die at once. Type: help"u8);
        Prompt();
    }

    /// <summary>Takes a byte that was typed.</summary>
    internal static void Take(byte value)
    {
        Span<byte> line = _line;
        switch (value)
        {
            case (byte)'\r' or (byte)'\n':
                MachineConsole.Echo("\r\n"u8);
                int length = _length;
                _length = 0;
                if (length != 0)
                {
                    Commands.Execute(line.Slice(0, length));
                }

                if (!MachineConsole.IsFramed)
                {
                    Prompt();
                }

                break;

            case Backspace or Delete:
                if (_length != 0)
                {
                    _length--;
                    MachineConsole.Echo("\b \b"u8);
                }

                break;

            case KillLine:
                for (; _length != 0; _length--)
                {
                    MachineConsole.Echo("\b \b"u8);
                }

                break;

            case >= 32 and < Delete when _length < line.Length:
                line[_length] = value;
                MachineConsole.Echo(line.Slice(_length, 1));
                _length++;
                break;

            default:
                break;
        }
    }

    private static void Prompt() => MachineConsole.Echo("quietus> "u8);

    [InlineArray(CommandLine.MaximumLength)]
    private struct Line
    {
        private byte _first;
    }
}
