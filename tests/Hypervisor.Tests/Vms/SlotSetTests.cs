using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Vms;

public sealed class SlotSetTests
{
    private SlotSet _shared;

    [Fact]
    public void Each_slot_that_was_added_is_taken_once()
    {
        var set = default(SlotSet);
        set.HasSome.ShouldBeFalse();
        set.TryTake(out _).ShouldBeFalse();
        for (int slot = 0; slot < FrameFormat.Slots; slot++)
        {
            set.Add(slot);
            set.Add(slot);
        }

        for (int slot = 0; slot < FrameFormat.Slots; slot++)
        {
            set.HasSome.ShouldBeTrue();
            set.TryTake(out int taken).ShouldBeTrue();
            taken.ShouldBe(slot);
        }

        set.HasSome.ShouldBeFalse();
        set.TryTake(out _).ShouldBeFalse();
    }

    /// <summary>
    /// Each thread counts a slot's events up before it adds the slot. When all is done, the taker must have seen the
    /// last event of each.
    /// </summary>
    [Fact]
    public async Task What_was_written_before_a_slot_was_added_is_seen_by_the_taker()
    {
        const int Threads = 3;
        const int Slots = 130;
        const int Rounds = 20_000;
        int[] events = new int[Slots];
        int[] seen = new int[Slots];
        var adders = new List<Task>();
        for (int i = 0; i < Threads; i++)
        {
            int first = i * 7;
            adders.Add(Task.Run(() =>
            {
                for (int round = 0; round < Rounds; round++)
                {
                    int slot = (first + (round * 13)) % Slots;
                    Interlocked.Increment(ref events[slot]);
                    _shared.Add(slot);
                }
            }));
        }

        Task all = Task.WhenAll(adders);
        bool isLast;
        do
        {
            isLast = all.IsCompleted;
            while (_shared.TryTake(out int slot))
            {
                seen[slot] = Volatile.Read(ref events[slot]);
            }
        }
        while (!isLast);

        await all;
        seen.ShouldBe(events);
    }
}
