using System;
using System.IO;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Quietus.Cli.Errors;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Standard output and error as plain files. The console of .NET switches a terminal's keypad into application mode at
/// its first use, which the guest on that terminal would know nothing of.
/// </summary>
internal static class StandardStreams
{
    /// <summary>Lets everything that writes to <see cref="Console"/> write to the plain files.</summary>
    public static void Install()
    {
        var encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        Console.SetOut(new StreamWriter(OpenOutput(), encoding) { AutoFlush = true });
        Console.SetError(new StreamWriter(Open(2), encoding) { AutoFlush = true });
    }

    /// <summary>Standard output, for bytes. Unbuffered.</summary>
    public static Stream OpenOutput() => Open(1);

    private static PipeTolerantStream Open(int descriptor) =>
        new(new FileStream(new SafeFileHandle((IntPtr)descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0));

    /// <summary>
    /// Drops what nobody reads any more, as when the output goes to <c>head</c>: that is the reader's wish, not an
    /// error of ours.
    /// </summary>
    private sealed class PipeTolerantStream(FileStream file) : Stream
    {
        private const int BrokenPipe = 32; // EPIPE
        private bool _closed;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (_closed)
            {
                return;
            }

            try
            {
                file.Write(buffer);
            }
            catch (IOException error) when (error.HResult == BrokenPipe)
            {
                _closed = true;
            }
            catch (IOException error)
            {
                _closed = true;
                throw new CliException(
                    ExitCode.Failed, "the output cannot be written: " + error.Message, "make room, or write elsewhere");
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                file.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
