using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>What a message about a stream says.</summary>
public enum StreamKind : byte
{
    /// <summary>Host to EL2: connect. <c>[vm 8][port 4][limit 4]</c>.</summary>
    Open = 1,

    /// <summary>EL2 to host: the guest has accepted. <c>[limit 4]</c>.</summary>
    Accept = 2,

    /// <summary>Bytes, in either direction.</summary>
    Data = 3,

    /// <summary>How far the receiver of the message may send. <c>[limit 4]</c>.</summary>
    Credit = 4,

    /// <summary>The sender of the message sends no more data.</summary>
    Shut = 5,

    /// <summary>The stream is over, in both directions. From EL2 <c>[why 1]</c>, a <see cref="StreamEnd"/>.</summary>
    Reset = 6,
}

/// <summary>Why EL2 ended a stream.</summary>
public enum StreamEnd : byte
{
    /// <summary>The guest closed it, after all that it sent.</summary>
    Closed,

    /// <summary>The guest refused or broke it off: no program listens on the port, or the program died.</summary>
    ByGuest,

    /// <summary>The slot has no such VM, or it does not run.</summary>
    NoVm,

    /// <summary>The VM has no vsock, or its kernel has no driver for it up.</summary>
    NoDevice,

    /// <summary>The VM has as many streams as it can have, or this number is in use.</summary>
    TooMany,

    /// <summary>The VM has ended.</summary>
    Ended,

    /// <summary>The VM became a template: a stream does not live on in its children.</summary>
    Frozen,

    /// <summary>The VM was put back to its birth.</summary>
    WasReset,

    /// <summary>The guest's driver broke a rule, or was reset.</summary>
    Broken,
}

/// <summary>
/// A message of <see cref="Channel.Stream"/>: a connection between a program at the link and a port of a VM, over the
/// VM's virtio-vsock (docs/protocol.md).
/// </summary>
/// <remarks>
/// <code>
///   [slot 1][kind 1][stream 4, little endian][payload]
/// </code>
/// The host numbers its streams, from <see cref="FirstStream"/> on and no number twice at a time; the guest sees the
/// number as the other end's port. Each end says up to which total the other may send, counted from the stream's
/// beginning modulo 2^32; that limit never goes back.
/// </remarks>
public readonly ref struct StreamMessage
{
    /// <summary>Bytes before the payload.</summary>
    public const int HeaderBytes = 6;

    /// <summary>The most data in a message.</summary>
    public const int MostData = FrameFormat.MaximumPayload - HeaderBytes;

    /// <summary>The lowest number of a stream: below are ports with a meaning.</summary>
    public const uint FirstStream = 1024;

    /// <summary>The first limit that a host gives, and how far beyond what it has taken every later one is.</summary>
    public const uint Window = 64 * 1024;

    private const int OpenBytes = 16;
    private const int LimitBytes = 4;

    /// <summary>The VM's slot, below <see cref="FrameFormat.ConsoleSlots"/>.</summary>
    public int Slot { get; private init; }

    /// <summary>What it says.</summary>
    public StreamKind Kind { get; private init; }

    /// <summary>The stream's number.</summary>
    public uint Stream { get; private init; }

    /// <summary>The data of Data; else as the kind has it.</summary>
    public ReadOnlySpan<byte> Payload { get; private init; }

    /// <summary>The limit of Open, Accept and Credit.</summary>
    public uint Limit => BinaryPrimitives.ReadUInt32LittleEndian(Payload.Slice(Payload.Length - LimitBytes));

    /// <summary>The VM's number, of Open.</summary>
    public ulong Vm => BinaryPrimitives.ReadUInt64LittleEndian(Payload);

    /// <summary>The guest's port, of Open.</summary>
    public uint Port => BinaryPrimitives.ReadUInt32LittleEndian(Payload.Slice(8));

    /// <summary>Why, of Reset from EL2.</summary>
    public StreamEnd End => (StreamEnd)Payload[0];

    /// <summary>Writes what stands before data. Returns <see cref="HeaderBytes"/>.</summary>
    public static int WriteHeader(Span<byte> destination, int slot, StreamKind kind, uint stream)
    {
        destination[0] = (byte)slot;
        destination[1] = (byte)kind;
        BinaryPrimitives.WriteUInt32LittleEndian(destination.Slice(2), stream);
        return HeaderBytes;
    }

    /// <summary>Writes an Open. Returns its length.</summary>
    public static int WriteOpen(Span<byte> destination, int slot, uint stream, ulong vm, uint port, uint limit)
    {
        int at = WriteHeader(destination, slot, StreamKind.Open, stream);
        BinaryPrimitives.WriteUInt64LittleEndian(destination.Slice(at), vm);
        BinaryPrimitives.WriteUInt32LittleEndian(destination.Slice(at + 8), port);
        BinaryPrimitives.WriteUInt32LittleEndian(destination.Slice(at + 12), limit);
        return at + OpenBytes;
    }

    /// <summary>Writes an Accept or a Credit. Returns its length.</summary>
    public static int WriteLimit(Span<byte> destination, int slot, StreamKind kind, uint stream, uint limit)
    {
        int at = WriteHeader(destination, slot, kind, stream);
        BinaryPrimitives.WriteUInt32LittleEndian(destination.Slice(at), limit);
        return at + LimitBytes;
    }

    /// <summary>Writes a Reset. Returns its length.</summary>
    public static int WriteReset(Span<byte> destination, int slot, uint stream, StreamEnd end)
    {
        int at = WriteHeader(destination, slot, StreamKind.Reset, stream);
        destination[at] = (byte)end;
        return at + 1;
    }

    /// <summary>Reads a message; false when it is none. Every property that the kind has can be read then.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out StreamMessage message)
    {
        message = default;
        if (payload.Length < HeaderBytes || payload[0] >= FrameFormat.ConsoleSlots)
        {
            return false;
        }

        message = new StreamMessage
        {
            Slot = payload[0],
            Kind = (StreamKind)payload[1],
            Stream = BinaryPrimitives.ReadUInt32LittleEndian(payload.Slice(2)),
            Payload = payload.Slice(HeaderBytes),
        };
        int length = message.Payload.Length;
        return message.Kind switch
        {
            StreamKind.Open => length == OpenBytes,
            StreamKind.Accept or StreamKind.Credit => length == LimitBytes,
            StreamKind.Data => true,
            StreamKind.Shut => length == 0,
            StreamKind.Reset => length <= 1,
            _ => false,
        };
    }

    /// <summary>What a stream's end means, for people: what became of the connection.</summary>
    public static ReadOnlySpan<byte> Explain(StreamEnd end) => end switch
    {
        StreamEnd.Closed => "the guest closed it"u8,
        StreamEnd.ByGuest => "the guest refused it or broke it off"u8,
        StreamEnd.NoVm => "there is no such VM, or it does not run"u8,
        StreamEnd.NoDevice => "the guest has no vsock, or no driver for it yet"u8,
        StreamEnd.TooMany => "the VM has no room for another stream"u8,
        StreamEnd.Ended => "the VM has ended"u8,
        StreamEnd.Frozen => "the VM became a template"u8,
        StreamEnd.WasReset => "the VM was put back to its birth"u8,
        _ => "the guest's vsock driver broke a rule"u8,
    };
}
