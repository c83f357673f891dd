using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Text;

namespace Quietus.Oracle.Search;

/// <summary>
/// What a shard of an exhaustive search leaves to the next level: its own states, and those that it hands over to each
/// shard. All numbers are little-endian:
/// <code>
/// offset  bytes  what
///      0      8  "QTLEVEL1"
///      8     32  SHA-256 of what the search is
///     40      4  level: steps of the programs of its own states
///     44      4  shard
///     48      4  N, the number of shards
///     52      8  S, the number of its own states
///     60    N*8  how many states are handed over to each shard
///            …   its own states, then those that are handed over, by owner
/// </code>
/// A state is a byte (1: it has a hash), 16 bytes of hash, and a byte for each step: <c>level</c> of them, or one more
/// where it is handed over.
/// </summary>
/// <remarks>The same states make the same bytes, so that a shard that runs twice changes nothing.</remarks>
public sealed class LevelFile
{
    private const int FixedHead = 60;
    private const int IdentityBytes = 32;
    private const int HashBytes = 17;

    private readonly Stream _stream;
    private readonly long[] _counts;
    private readonly int _level;

    private LevelFile(Stream stream, int level, long[] counts)
    {
        _stream = stream;
        _level = level;
        _counts = counts;
    }

    private static ReadOnlySpan<byte> Magic => "QTLEVEL1"u8;

    /// <summary>Writes a level.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="search">What the search is, in words: another search's file is refused by it.</param>
    /// <param name="level">Steps of the programs of <paramref name="own"/>.</param>
    /// <param name="index">The shard that writes.</param>
    /// <param name="own">Its states of this level.</param>
    /// <param name="handedOver">One step further, for each shard.</param>
    public static void Write(
        Stream stream, string search, int level, int index, IReadOnlyList<ReachedState> own,
        IReadOnlyList<IReadOnlyList<ReachedState>> handedOver)
    {
        byte[] head = new byte[FixedHead + (8 * handedOver.Count)];
        WriteIdentity(head, search, level, index, handedOver.Count);
        BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(FixedHead - 8), own.Count);
        for (int owner = 0; owner < handedOver.Count; owner++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(FixedHead + (8 * owner)), handedOver[owner].Count);
        }

        stream.Write(head);
        WriteStates(stream, own, level);
        foreach (IReadOnlyList<ReachedState> states in handedOver)
        {
            WriteStates(stream, states, level + 1);
        }
    }

    /// <summary>
    /// Reads a level's head; <see cref="InvalidDataException"/> where the file is another's, or not whole.
    /// </summary>
    public static LevelFile Open(Stream stream, string search, int level, int index, int count)
    {
        byte[] head = new byte[FixedHead + (8 * count)];
        byte[] expected = new byte[FixedHead];
        WriteIdentity(expected, search, level, index, count);
        if (stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) != head.Length
            || !head.AsSpan(0, FixedHead - 8).SequenceEqual(expected.AsSpan(0, FixedHead - 8)))
        {
            throw new InvalidDataException("it is no file of this search, level and shard");
        }

        long[] counts = new long[count + 1];
        Int128 length = head.Length;
        for (int at = 0; at <= count; at++)
        {
            counts[at] = BinaryPrimitives.ReadInt64LittleEndian(head.AsSpan(FixedHead - 8 + (8 * at)));
            length += counts[at] < 0
                ? throw new InvalidDataException("its head is damaged")
                : (Int128)counts[at] * Size(at == 0 ? level : level + 1);
        }

        return length == stream.Length
            ? new LevelFile(stream, level, counts)
            : throw new InvalidDataException("it is not whole");
    }

    /// <summary>The shard's own states.</summary>
    public IEnumerable<ReachedState> Own() => Read(FixedHead + (8 * (_counts.Length - 1)), _counts[0], _level);

    /// <summary>What is handed over to a shard.</summary>
    public IEnumerable<ReachedState> HandedOverTo(int owner)
    {
        long offset = FixedHead + (8 * (_counts.Length - 1)) + (_counts[0] * Size(_level));
        for (int before = 0; before < owner; before++)
        {
            offset += _counts[before + 1] * Size(_level + 1);
        }

        return Read(offset, _counts[owner + 1], _level + 1);
    }

    private static int Size(int steps) => HashBytes + steps;

    private static void WriteIdentity(Span<byte> head, string search, int level, int index, int count)
    {
        Magic.CopyTo(head);
        SHA256.HashData(Encoding.UTF8.GetBytes(search), head.Slice(Magic.Length, IdentityBytes));
        BinaryPrimitives.WriteInt32LittleEndian(head[(Magic.Length + IdentityBytes)..], level);
        BinaryPrimitives.WriteInt32LittleEndian(head[(Magic.Length + IdentityBytes + 4)..], index);
        BinaryPrimitives.WriteInt32LittleEndian(head[(Magic.Length + IdentityBytes + 8)..], count);
    }

    private static void WriteStates(Stream stream, IReadOnlyList<ReachedState> states, int steps)
    {
        byte[] record = new byte[Size(steps)];
        foreach (ReachedState state in states)
        {
            record[0] = state.Hash is null ? (byte)0 : (byte)1;
            BinaryPrimitives.WriteUInt128LittleEndian(record.AsSpan(1), state.Hash ?? default);
            state.Steps.CopyTo(record.AsSpan(HashBytes));
            stream.Write(record);
        }
    }

    private IEnumerable<ReachedState> Read(long offset, long count, int steps)
    {
        _stream.Position = offset;
        byte[] record = new byte[Size(steps)];
        for (long at = 0; at < count; at++)
        {
            _stream.ReadExactly(record);
            yield return new ReachedState(
                record[HashBytes..],
                record[0] == 0 ? null : BinaryPrimitives.ReadUInt128LittleEndian(record.AsSpan(1)));
        }
    }
}
