using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Scheduling;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>The ordered expiries against a sorted list.</summary>
/// <remarks>Invariant of the pointers: each test's nodes live until it ends.</remarks>
public unsafe class ExpiryHeapTests
{
    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 64)]
    [InlineData(3, 4000)]
    public void Any_node_can_go_and_the_first_is_always_the_earliest(int seed, int count)
    {
        var random = new Random(seed);
        ExpiryNode* nodes = (ExpiryNode*)NativeMemory.AllocZeroed((nuint)count, (nuint)sizeof(ExpiryNode));
        var linked = new HashSet<int>();
        ExpiryHeap heap = default;
        for (int step = 0; step < 4 * count; step++)
        {
            int index = random.Next(count);
            if (linked.Remove(index))
            {
                heap.Remove(&nodes[index]);
            }
            else
            {
                nodes[index].When = (ulong)random.Next(count);
                heap.Add(&nodes[index]);
                linked.Add(index);
            }

            nodes[index].IsLinked.ShouldBe(linked.Contains(index));
            if (count <= 64 || step % 1000 == 0)
            {
                SchedulerAudit.CheckHeap(heap.First, 0);
                heap.NextWhen.ShouldBe(linked.Count == 0 ? ulong.MaxValue : linked.Min(i => nodes[i].When));
            }
        }

        ulong last = 0;
        for (int left = linked.Count; left != 0; left--)
        {
            heap.NextWhen.ShouldBeGreaterThanOrEqualTo(last);
            last = heap.NextWhen;
            heap.Remove(heap.First);
        }

        (heap.First == null).ShouldBeTrue();
        NativeMemory.Free(nodes);
    }

    /// <summary>Every order of five additions, and then every one of them removed first.</summary>
    [Fact]
    public void Every_small_heap_keeps_its_shape()
    {
        const int Count = 5;
        ExpiryNode* nodes = stackalloc ExpiryNode[Count];
        for (int order = 0; order < 5 * 4 * 3 * 2; order++)
        {
            for (int removed = 0; removed < Count; removed++)
            {
                var places = Enumerable.Range(0, Count).ToList();
                ExpiryHeap heap = default;
                for (int i = 0, rest = order; i < Count; i++)
                {
                    int place = rest % (Count - i);
                    rest /= Count - i;
                    nodes[i] = default;
                    nodes[i].When = (ulong)places[place];
                    places.RemoveAt(place);
                    heap.Add(&nodes[i]);
                    SchedulerAudit.CheckHeap(heap.First, 0);
                }

                heap.Remove(&nodes[removed]);
                SchedulerAudit.CheckHeap(heap.First, 0);
                heap.NextWhen.ShouldBe(nodes[removed].When == 0 ? 1UL : 0UL);
            }
        }
    }
}
