using System;
using System.Runtime.InteropServices;

namespace Quietus.Cli.Terminals;

/// <summary>
/// The terminal in raw mode: every key goes to the guest, Ctrl-C too, and nothing is echoed twice. What it was before
/// is put back when this is disposed, when the process exits, and before it dies of a second signal.
/// </summary>
internal sealed class RawTerminal : IDisposable
{
    private const int StandardInput = 0;
    private const int SetNow = 0; // TCSANOW

    /// <summary>struct termios is 60 bytes with glibc and with musl on every 64-bit Linux; this leaves room.</summary>
    private const int TermiosBytes = 256;

    private static byte[]? _saved;
    private static readonly System.Threading.Lock _lock = new();

    private RawTerminal()
    {
    }

    /// <summary>True when the input is a terminal.</summary>
    public static bool InputIsTerminal => NativeMethods.IsATerminal(StandardInput) == 1;

    /// <summary>Switches to raw mode; null when the input is no terminal, or does not let itself be switched.</summary>
    public static RawTerminal? Enter()
    {
        byte[] before = new byte[TermiosBytes];
        if (!InputIsTerminal || NativeMethods.GetAttributes(StandardInput, before) != 0)
        {
            return null;
        }

        byte[] raw = (byte[])before.Clone();
        NativeMethods.MakeRaw(raw);
        lock (_lock)
        {
            _saved = before;
        }

        AppDomain.CurrentDomain.ProcessExit += (_, _) => RestoreNow();
        if (NativeMethods.SetAttributes(StandardInput, SetNow, raw) != 0)
        {
            RestoreNow();
            return null;
        }

        return new RawTerminal();
    }

    /// <summary>Puts the terminal back as it was; harmless when it is.</summary>
    public static void RestoreNow()
    {
        lock (_lock)
        {
            if (_saved is not null)
            {
                _ = NativeMethods.SetAttributes(StandardInput, SetNow, _saved);
                _saved = null;
            }
        }
    }

    public void Dispose() => RestoreNow();

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "isatty")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int IsATerminal(int descriptor);

        [DllImport("libc", EntryPoint = "tcgetattr")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int GetAttributes(int descriptor, [Out] byte[] attributes);

        [DllImport("libc", EntryPoint = "tcsetattr")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int SetAttributes(int descriptor, int when, [In] byte[] attributes);

        [DllImport("libc", EntryPoint = "cfmakeraw")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern void MakeRaw([In, Out] byte[] attributes);
    }
}
