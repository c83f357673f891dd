using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Wire;

namespace Quietus.Cli.Monitoring;

/// <summary>Connections to ports of VMs: <see cref="StreamClient"/>, or a test's.</summary>
internal interface IGuestStreams
{
    /// <summary>
    /// Connects to a port of a VM. What is written is taken as fast as the guest reads it, and the guest's program
    /// waits when this end does not read. <see cref="GuestStreamException"/> when it cannot be, and from reads and
    /// writes when the stream is broken off; an orderly end is the end of the stream.
    /// </summary>
    /// <param name="slot">The slot that the VM is in.</param>
    /// <param name="vm">The VM's number: a later VM in the slot is not meant.</param>
    /// <param name="port">The port of AF_VSOCK.</param>
    /// <param name="cancellation">Gives the connection up.</param>
    Task<Stream> ConnectAsync(int slot, long vm, uint port, CancellationToken cancellation);
}

/// <summary>A connection to a VM that could not be made, or was broken off.</summary>
internal sealed class GuestStreamException(StreamEnd end, string message) : IOException(message)
{
    /// <summary>Why.</summary>
    public StreamEnd End => end;
}
