using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Quietus.Cli.Terminals;

/// <summary>
/// How big the terminal is that stdout goes to. <see cref="Console"/> would say it as well, but not without switching
/// the terminal's keypad: see <see cref="StandardStreams"/>.
/// </summary>
internal static class TerminalSize
{
    private const int Output = 1;
    private const int Narrowest = 40;
    private const nuint GetWindowSize = 0x5413; // TIOCGWINSZ, of Linux on every architecture that .NET runs on

    /// <summary>
    /// COLUMNS where it is exported, else what the terminal says; at least 40. Null where stdout is no terminal.
    /// </summary>
    public static int? Columns
    {
        get
        {
            int columns = int.TryParse(
                Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture,
                out int told) ? told
                : Window?.Columns ?? 0;
            return columns > 0 ? Math.Max(columns, Narrowest) : null;
        }
    }

    /// <summary>What the terminal says of itself; null where there is none, or it does not know.</summary>
    public static (int Rows, int Columns)? Window
    {
        get
        {
            ushort[] size = new ushort[4];
            return NativeMethods.Control(Output, GetWindowSize, size) == 0 && size[0] > 0 && size[1] > 0
                ? (size[0], size[1])
                : null;
        }
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "ioctl")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Control(int descriptor, nuint request, [Out] ushort[] size);
    }
}
