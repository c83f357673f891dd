using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Quietus.Oracle.Programs;

// The whole machine's state as one number.
public partial class Host<TFormat, TMachine>
{
    /// <summary>
    /// A 128-bit hash of everything that later steps depend on; false where there is none, so that the state must pass
    /// for a new one. What only counts, or holds an address of this process, tells states apart that are alike: that
    /// costs time and loses nothing.
    /// </summary>
    public bool TryHashState(out UInt128 hash)
    {
        ulong a = 0xCBF2_9CE4_8422_2325;
        ulong b = 0x9E37_79B9_7F4A_7C15;
        void Write(ulong word)
        {
            a = (a ^ word) * 0x9FB2_1C65_1E98_DF25;
            a ^= a >> 32;
            b = (System.Numerics.BitOperations.RotateLeft(b, 23) ^ word) * 0xD6E8_FEB8_6659_FD93;
            b ^= b >> 29;
        }

        bool isKnown = Judge.TryWriteState(Write);
        _world.WriteState(Write);
        WriteBytes(ref _vmids[0], Write, _vmidWords);
        foreach (ulong word in _vmidWords)
        {
            Write(word);
        }

        foreach (ulong frame in _frames)
        {
            Write(frame);
        }

        foreach (ulong block in _huge)
        {
            Write(block);
        }

        for (int slot = 0; slot < _guests.Length; slot++)
        {
            if (_guests[slot] is not Guest guest)
            {
                Write(0);
                continue;
            }

            Write(1 + (ulong)(uint)guest.Small + ((ulong)(uint)guest.Blocks << 8) + ((ulong)(uint)guest.Huge << 16));
            isKnown &= guest.Log is null;
            for (int pe = 0; pe < _running.Length; pe++)
            {
                Write(_running[pe] == guest ? 1UL : 0);
            }

            WriteBytes(ref guest.Memory, Write, null);
            WriteBytes(ref guest.Lease, Write, null);
            WriteBytes(ref guest.Port.Records.Frames, Write, null);
            foreach (ulong frame in guest.Frames)
            {
                Write(frame);
            }

            foreach (ulong frame in guest.Copies)
            {
                Write(frame);
            }

            // An invalidation that is under way: few states have one, and none of them passes for a known one.
            isKnown &= !guest.IsUnmapping;
        }

        hash = new UInt128(a, b);
        return isKnown;
    }

    /// <summary>A structure; an address inside <paramref name="pinned"/> is written as its place there.</summary>
    private static void WriteBytes<T>(ref T value, Action<ulong> write, ulong[]? pinned)
        where T : struct
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.CreateReadOnlySpan(
            ref Unsafe.As<T, byte>(ref value), Unsafe.SizeOf<T>());
        ulong start = pinned is null ? 0 : (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
        ulong length = pinned is null ? 0 : (ulong)pinned.Length * sizeof(ulong);
        while (bytes.Length >= sizeof(ulong))
        {
            ulong word = MemoryMarshal.Read<ulong>(bytes);
            write(word - start < length ? word - start : word);
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (byte rest in bytes)
        {
            write(rest);
        }
    }
}
