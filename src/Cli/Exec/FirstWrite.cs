using System;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>Notes when the first of some streams is first written to.</summary>
/// <param name="begun">The moment that time is counted from.</param>
internal sealed class FirstWrite(long begun)
{
    /// <summary>Null where nothing was written.</summary>
    public long? Nanoseconds { get; private set; }

    public Stream Watch(Stream inner) => new Watched(this, inner);

    private void Note() => Nanoseconds ??= (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;

    private sealed class Watched(FirstWrite first, Stream inner) : WriteOnlyStream
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            first.Note();
            return inner.WriteAsync(buffer, cancellationToken);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            first.Note();
            inner.Write(buffer);
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        public override void Flush() => inner.Flush();
    }
}
