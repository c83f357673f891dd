using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Standard output and error as plain streams. The console of .NET switches a terminal's keypad into application mode
/// at its first use, which the guest on that terminal knows nothing of.
/// </summary>
internal static class StandardStreams
{
    /// <summary>Lets everything that writes to <see cref="Console"/> write to the plain streams.</summary>
    public static void Install()
    {
        var encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        Console.SetOut(new StreamWriter(OpenOutput(), encoding) { AutoFlush = true });
        Console.SetError(new StreamWriter(new DescriptorStream(DescriptorStream.Error), encoding) { AutoFlush = true });
    }

    /// <summary>Standard output, for bytes. Unbuffered.</summary>
    public static Stream OpenOutput() => new DescriptorStream(DescriptorStream.Output);

    /// <summary>
    /// Standard output and error for a program's bytes: an <see cref="IOException"/> where no reader takes them any
    /// more, so that the program hears of it.
    /// </summary>
    public static (Stream Output, Stream Error) OpenForProgram() =>
        (new DescriptorStream(DescriptorStream.Output) { Breaks = true },
            new DescriptorStream(DescriptorStream.Error) { Breaks = true });

    /// <summary>
    /// write(2) and nothing else: it appends where the descriptor stands, which others may share. What no reader takes
    /// any more, as when the output goes to <c>head</c>, is dropped; a full disk is an error.
    /// </summary>
    private sealed class DescriptorStream(int descriptor) : WriteOnlyStream
    {
        public const int Output = 1;
        public const int Error = 2;

        // errno(3), the same on every architecture that .NET runs on under Linux.
        private const int Interrupted = 4;
        private const int TryAgain = 11;
        private const int BrokenPipe = 32;

        private bool _closed;

        /// <summary>Whether it is an error when no reader takes it any more.</summary>
        public bool Breaks { get; init; }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            while (!_closed && !buffer.IsEmpty)
            {
                nint written = NativeMethods.Write(descriptor, in MemoryMarshal.GetReference(buffer), buffer.Length);
                if (written >= 0)
                {
                    buffer = buffer[(int)written..];
                    continue;
                }

                switch (Marshal.GetLastPInvokeError())
                {
                    case Interrupted:
                        break;
                    case TryAgain:
                        // Another program has made the terminal non-blocking; it will be ready in a moment.
                        Thread.Sleep(1);
                        break;
                    case BrokenPipe:
                        _closed = !Breaks;
                        if (Breaks)
                        {
                            throw new IOException("the output has no reader any more");
                        }

                        break;
                    case int error:
                        _closed = true;
                        if (descriptor == Error)
                        {
                            return;
                        }

                        throw new CliException(
                            ExitCode.Failed,
                            "the output cannot be written: " + Marshal.GetPInvokeErrorMessage(error),
                            "make room, or write elsewhere");
                }
            }
        }
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "write", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern nint Write(int descriptor, in byte bytes, nint count);
    }
}
