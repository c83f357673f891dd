using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// A set of VM slots that any core adds to and one core takes from, without a lock, and in time that does not depend on
/// how many slots there are: a bit for each slot, and a bit for each word that may have some.
/// </summary>
/// <remarks>
/// A slot's bit is set before its word's. The taker clears the word's bit before it takes the word, so that a slot that
/// is added meanwhile is in what it takes, or leaves the word's bit set.
/// </remarks>
internal struct SlotSet
{
    private const int WordBits = 64;

    private ulong _words;
    private Words _slots;
    private ulong _taken;
    private int _takenWord;

    /// <summary>Whether it may hold some.</summary>
    internal readonly bool HasSome => _taken != 0 || Volatile.Read(in _words) != 0;

    /// <summary>Adds a slot. On any core; what it wrote before is seen by the core that takes the slot.</summary>
    internal void Add(int slot) => TryAdd(slot);

    /// <summary>
    /// Adds a slot. False: it was there, and the core that added it has told the taker, or is about to.
    /// </summary>
    internal bool TryAdd(int slot)
    {
        bool isNew = Set(ref _slots[slot / WordBits], 1UL << (slot % WordBits));
        return Set(ref _words, 1UL << (slot / WordBits)) | isNew;
    }

    /// <summary>Takes a slot out. On the taker's core.</summary>
    internal bool TryTake(out int slot)
    {
        while (_taken == 0)
        {
            ulong words = Volatile.Read(in _words);
            if (words == 0)
            {
                slot = 0;
                return false;
            }

            _takenWord = BitOperations.TrailingZeroCount(words);
            ulong bit = 1UL << _takenWord;
            while (Interlocked.CompareExchange(ref _words, words & ~bit, words) != words)
            {
                words = Volatile.Read(in _words);
            }

            _taken = Interlocked.Exchange(ref _slots[_takenWord], 0UL);
        }

        slot = (_takenWord * WordBits) + BitOperations.TrailingZeroCount(_taken);
        _taken &= _taken - 1;
        return true;
    }

    /// <summary>Sets a bit. False: it was set.</summary>
    private static bool Set(ref ulong word, ulong bits)
    {
        ulong before = Volatile.Read(in word);
        while ((before & bits) != bits)
        {
            ulong seen = Interlocked.CompareExchange(ref word, before | bits, before);
            if (seen == before)
            {
                return true;
            }

            before = seen;
        }

        return false;
    }

    [InlineArray(FrameFormat.Slots / WordBits)]
    private struct Words
    {
        private ulong _first;
    }
}
