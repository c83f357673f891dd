using System;
using System.Buffers.Binary;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>What a packet is for (Virtual I/O Device 1.2, 5.10.6).</summary>
public enum VsockOperation : ushort
{
    /// <summary>Connect.</summary>
    Request = 1,

    /// <summary>Connected.</summary>
    Response = 2,

    /// <summary>There is no such connection, or no more.</summary>
    Reset = 3,

    /// <summary>One end receives or sends no more: <see cref="VsockPacket.Flags"/>.</summary>
    Shutdown = 4,

    /// <summary>Bytes.</summary>
    Data = 5,

    /// <summary>The buffer's state, as every packet has it, and nothing else.</summary>
    CreditUpdate = 6,

    /// <summary>Asks for one.</summary>
    CreditRequest = 7,
}

/// <summary>The header of a packet of virtio-vsock (Virtual I/O Device 1.2, 5.10.6).</summary>
/// <remarks>
/// <code>
///  source CID 8 | destination CID 8 | source port 4 | destination port 4 | length 4 | type 2 | operation 2 | flags 4
///  buffer's size 4 | bytes taken out of it 4
/// </code>
/// </remarks>
public struct VsockPacket
{
    /// <summary>Bytes of a header.</summary>
    public const int HeaderBytes = 44;

    /// <summary>The type of a stream.</summary>
    public const ushort Stream = 1;

    /// <summary>In <see cref="Flags"/> of a shutdown: the sender of the packet receives no more.</summary>
    public const uint NoReceive = 1;

    /// <summary>The same: it sends no more.</summary>
    public const uint NoSend = 2;

    /// <summary>Whose packet it is.</summary>
    public ulong SourceCid;

    /// <summary>Who is to get it.</summary>
    public ulong DestinationCid;

    /// <summary>The sender's port.</summary>
    public uint SourcePort;

    /// <summary>The receiver's port.</summary>
    public uint DestinationPort;

    /// <summary>Bytes after the header.</summary>
    public uint Length;

    /// <summary><see cref="Stream"/>.</summary>
    public ushort Type;

    /// <summary>What it is for.</summary>
    public VsockOperation Operation;

    /// <summary>As the operation has it.</summary>
    public uint Flags;

    /// <summary>How large the sender's receive buffer is.</summary>
    public uint BufferBytes;

    /// <summary>Bytes that were taken out of that buffer since the connection began, modulo 2^32.</summary>
    public uint Forwarded;

    /// <summary>Reads a header of <see cref="HeaderBytes"/>.</summary>
    public static VsockPacket Read(ReadOnlySpan<byte> from) => new()
    {
        SourceCid = BinaryPrimitives.ReadUInt64LittleEndian(from),
        DestinationCid = BinaryPrimitives.ReadUInt64LittleEndian(from.Slice(8)),
        SourcePort = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(16)),
        DestinationPort = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(20)),
        Length = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(24)),
        Type = BinaryPrimitives.ReadUInt16LittleEndian(from.Slice(28)),
        Operation = (VsockOperation)BinaryPrimitives.ReadUInt16LittleEndian(from.Slice(30)),
        Flags = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(32)),
        BufferBytes = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(36)),
        Forwarded = BinaryPrimitives.ReadUInt32LittleEndian(from.Slice(40)),
    };

    /// <summary>Writes the header: <see cref="HeaderBytes"/>.</summary>
    public readonly void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, SourceCid);
        BinaryPrimitives.WriteUInt64LittleEndian(to.Slice(8), DestinationCid);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(16), SourcePort);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(20), DestinationPort);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(24), Length);
        BinaryPrimitives.WriteUInt16LittleEndian(to.Slice(28), Type);
        BinaryPrimitives.WriteUInt16LittleEndian(to.Slice(30), (ushort)Operation);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(32), Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(36), BufferBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(to.Slice(40), Forwarded);
    }
}
