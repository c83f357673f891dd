using System;
using System.Threading;
using System.Threading.Tasks;

namespace Quietus.Cli.Terminals;

/// <summary>A stream that can only be written to: each write is a call, complete when its bytes are taken.</summary>
internal sealed class CallStream(Func<ReadOnlyMemory<byte>, CancellationToken, Task> write) : WriteOnlyStream
{
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(write(buffer, cancellationToken));

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        write(buffer.AsMemory(offset, count), cancellationToken);

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
