using Quietus.Probe.Kvm;
using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>What a child is to do.</summary>
internal struct LifePlan
{
    internal Way Way;
    internal PageKind Pages;
    internal ulong Bytes;
    internal int Processor;
    internal bool CountsProcessor;
}

/// <summary>
/// One VM's life in a process of its own, a child that dies with its parent: so nothing is left, however the probe
/// ends. It measures itself; only what comes after its last instruction is its parent's to measure.
/// </summary>
internal static class Life
{
    private const ulong Patience = 200_000_000; // nanoseconds until memory is back
    private const ulong Pause = 20_000;

    /// <summary>Does not return.</summary>
    internal static void Live(in LifePlan plan, Place place)
    {
        Processors.StayOn(plan.Processor);
        Counter counter = Counter.Open(plan.CountsProcessor);
        Area area = Area.Map(plan.Bytes, plan.Pages, plan.Way == Way.Punch);
        if (Ways.HasVm(plan.Way))
        {
            WithVm(plan, place, area, counter);
        }
        else
        {
            WithoutVm(plan, place, area, counter);
        }

        place.LastMoment = Clock.Now();
        while (true)
        {
            SystemCalls.Exit(0);
        }
    }

    private static void WithVm(in LifePlan plan, Place place, Area area, Counter counter)
    {
        Machine.Load(area);
        Machine machine = Bear(place, area);
        switch (plan.Way)
        {
            case Way.Kill:
                place.FreeBefore = HostMemory.Free(plan.Pages);
                place.IsReady = true;
                while (true)
                {
                    machine.RunToDoorbell(area.Bytes);
                }

            case Way.Close:
                Begin(plan, place, counter, out Moment close);
                machine.Close();
                Finish(place, counter, close);
                ulong closed = Clock.Now();
                area.Unmap();
                place[Figure.Unmap] = Clock.Now() - closed;
                AwaitFree(plan, place, close);
                return;

            case Way.Slot:
                machine.SetSlot(area, 0);
                machine.SetSlot(area, area.Bytes);
                ulong refill = Clock.Now();
                machine.RunToDoorbell(area.Bytes);
                place[Figure.Retouch] = Clock.Now() - refill;
                Begin(plan, place, counter, out Moment slot);
                machine.SetSlot(area, 0);
                Finish(place, counter, slot);
                CloseAndUnmap(place, machine, area, isUnmapped: false);
                AwaitFree(plan, place, slot);
                return;

            case Way.Munmap:
                Begin(plan, place, counter, out Moment unmap);
                area.Unmap();
                Finish(place, counter, unmap);
                AwaitFree(plan, place, unmap);
                CloseAndUnmap(place, machine, area, isUnmapped: true);
                return;

            default:
                Begin(plan, place, counter, out Moment give);
                if (plan.Way == Way.DontNeed)
                {
                    area.DontNeed();
                }
                else
                {
                    area.Punch();
                }

                Finish(place, counter, give);
                AwaitFree(plan, place, give);
                CloseAndUnmap(place, machine, area, isUnmapped: false);
                return;
        }
    }

    /// <summary>Makes a VM step by step, and lets its guest write all of its memory twice.</summary>
    private static Machine Bear(Place place, in Area area)
    {
        ulong start = Clock.Now();
        Machine machine = Machine.Create();
        ulong created = Clock.Now();
        machine.SetSlot(area, area.Bytes);
        ulong hasSlot = Clock.Now();
        machine.AddVcpu();
        ulong hasVcpu = Clock.Now();
        machine.Prepare(area);
        ulong prepared = Clock.Now();
        machine.RunToDoorbell(0);
        ulong runs = Clock.Now();
        machine.RunToDoorbell(area.Bytes);
        ulong touched = Clock.Now();
        machine.RunToDoorbell(area.Bytes);
        place[Figure.TouchAgain] = Clock.Now() - touched;
        place[Figure.CreateVm] = created - start;
        place[Figure.AddSlot] = hasSlot - created;
        place[Figure.CreateVcpu] = hasVcpu - hasSlot;
        place[Figure.Prepare] = prepared - hasVcpu;
        place[Figure.FirstInstruction] = runs - prepared;
        place[Figure.Touch] = touched - runs;
        place.TransparentBytes = HostMemory.TransparentBytes();
        return machine;
    }

    private static void WithoutVm(in LifePlan plan, Place place, Area area, Counter counter)
    {
        ulong start = Clock.Now();
        area.Touch(0);
        ulong touched = Clock.Now();
        area.Touch(0);
        place[Figure.TouchAgain] = Clock.Now() - touched;
        place[Figure.Touch] = touched - start;
        place.TransparentBytes = HostMemory.TransparentBytes();
        if (plan.Way == Way.KillNoVm)
        {
            place.FreeBefore = HostMemory.Free(plan.Pages);
            place.IsReady = true;
            while (true)
            {
                area.Touch(0);
            }
        }

        Begin(plan, place, counter, out Moment unmap);
        area.Unmap();
        Finish(place, counter, unmap);
        AwaitFree(plan, place, unmap);
    }

    private static void Begin(in LifePlan plan, Place place, Counter counter, out Moment moment)
    {
        place.FreeBefore = HostMemory.Free(plan.Pages);
        Board.LongestRound = 0;
        moment = new Moment { Rounds = Board.Rounds, Instructions = counter.Read(), Time = Clock.Now() };
    }

    private static void Finish(Place place, Counter counter, in Moment moment)
    {
        place[Figure.Order] = Clock.Now() - moment.Time;
        ulong instructions = counter.Read();
        place[Figure.Instructions] = instructions - moment.Instructions;
        place.NeighbourRounds = Board.Rounds - moment.Rounds;
        place.NeighbourLongest = Board.LongestRound;
    }

    private static void CloseAndUnmap(Place place, in Machine machine, in Area area, bool isUnmapped)
    {
        ulong start = Clock.Now();
        machine.Close();
        ulong closed = Clock.Now();
        if (!isUnmapped)
        {
            area.Unmap();
            place[Figure.Unmap] = Clock.Now() - closed;
        }

        place[Figure.Close] = closed - start;
    }

    private static void AwaitFree(in LifePlan plan, Place place, in Moment moment) =>
        place[Figure.Free] = AwaitFree(plan, place.FreeBefore, moment.Time);

    /// <summary>
    /// How long after a moment nine tenths of the memory were free; 0 when they were not within a fifth of a second,
    /// which is so where another process takes memory meanwhile.
    /// </summary>
    internal static ulong AwaitFree(in LifePlan plan, ulong before, ulong since)
    {
        ulong begun = Clock.Now();
        while (true)
        {
            ulong free = HostMemory.Free(plan.Pages);
            ulong now = Clock.Now();
            if (free > before && free - before >= plan.Bytes - (plan.Bytes / 10))
            {
                return now - since;
            }

            if (now - begun > Patience)
            {
                return 0;
            }

            Clock.Sleep(Pause);
        }
    }

    /// <summary>When an order began.</summary>
    private struct Moment
    {
        internal ulong Time;
        internal ulong Rounds;
        internal ulong Instructions;
    }
}
