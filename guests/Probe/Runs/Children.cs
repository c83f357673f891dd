using Quietus.Probe.Kvm;
using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>Starts lives and sees them end. Every child dies with this process, whatever ends it.</summary>
internal static class Children
{
    /// <summary>Until a child that has written its memory is back at writing it.</summary>
    private const ulong Moment = 20_000_000;
    private const ulong Pause = 1_000_000;
    private const ulong NeighbourBytes = Area.BlockBytes;
    private const int KillSignal = 9;

    /// <summary>Lets one VM live and die alone; its figures are in its place then.</summary>
    internal static Place Run(in LifePlan plan)
    {
        Place place = Board.Clear(0);
        int child = Begin(plan, place);
        if (Ways.IsKill(plan.Way))
        {
            AwaitReady(child, place);
            Clock.Sleep(Moment);
            ulong killed = Clock.Now();
            SystemCalls.Kill(child);
            ulong returned = Clock.Now();
            Bury(child, KillSignal);
            ulong reaped = Clock.Now();
            place[Figure.Order] = returned - killed;
            place[Figure.Exit] = reaped - returned;
            place[Figure.Total] = reaped - killed;
            place[Figure.Free] = Life.AwaitFree(plan, place.FreeBefore, killed);
            return place;
        }

        Bury(child, 0);
        place[Figure.Exit] = Clock.Now() - place.LastMoment;
        place[Figure.Total] =
            place[Figure.Order] + place[Figure.Close] + place[Figure.Unmap] + place[Figure.Exit];
        return place;
    }

    /// <summary>Kills so many VMs at once; nanoseconds until the last is reaped.</summary>
    internal static ulong RunTogether(in LifePlan plan, int count)
    {
        LifePlan own = plan;
        for (int i = 0; i < count; i++)
        {
            own.Processor = Processors.At(i);
            Place place = Board.Clear(i);
            int child = Begin(own, place);
            place.LastMoment = (ulong)child;
        }

        for (int i = 0; i < count; i++)
        {
            AwaitReady((int)Board.At(i).LastMoment, Board.At(i));
        }

        Clock.Sleep(Moment);
        ulong killed = Clock.Now();
        for (int i = 0; i < count; i++)
        {
            SystemCalls.Kill((int)Board.At(i).LastMoment);
        }

        for (int i = 0; i < count; i++)
        {
            Bury((int)Board.At(i).LastMoment, KillSignal);
        }

        return Clock.Now() - killed;
    }

    /// <summary>Starts a small VM on the second processor that goes round its memory for ever; its process.</summary>
    internal static int BeginNeighbour()
    {
        Place place = Board.Clear(1);
        int parent = SystemCalls.ProcessId();
        int child = (int)Problem.Checked(SystemCalls.Fork(), "making a child"u8);
        if (child == 0)
        {
            DieWith(parent);
            Processors.StayOn(Processors.Second);
            Work(place);
        }

        AwaitReady(child, place);
        return child;
    }

    internal static void EndNeighbour(int child)
    {
        SystemCalls.Kill(child);
        Bury(child, KillSignal);
    }

    private static void Work(Place place)
    {
        Area area = Area.Map(NeighbourBytes, PageKind.Small, isFile: false);
        Machine.Load(area);
        Machine machine = Machine.Create();
        machine.SetSlot(area, area.Bytes);
        machine.AddVcpu();
        machine.Prepare(area);
        machine.RunToDoorbell(0);
        machine.RunToDoorbell(area.Bytes);
        place.IsReady = true;
        ulong last = Clock.Now();
        while (true)
        {
            machine.RunToDoorbell(area.Bytes);
            ulong now = Clock.Now();
            Board.Rounds++;
            if (now - last > Board.LongestRound)
            {
                Board.LongestRound = now - last;
            }

            last = now;
        }
    }

    private static int Begin(in LifePlan plan, Place place)
    {
        int parent = SystemCalls.ProcessId();
        int child = (int)Problem.Checked(SystemCalls.Fork(), "making a child"u8);
        if (child == 0)
        {
            DieWith(parent);
            Life.Live(plan, place);
        }

        return child;
    }

    private static void DieWith(int parent)
    {
        SystemCalls.EndWithParent();
        if (SystemCalls.ParentId() != parent)
        {
            // It ended before we could say so.
            SystemCalls.Exit(Problem.Failed);
        }
    }

    private static void AwaitReady(int child, Place place)
    {
        while (!place.IsReady)
        {
            if (SystemCalls.HasEnded(child, out int status) != 0)
            {
                Blame(status);
            }

            Clock.Sleep(Pause);
        }
    }

    private static void Bury(int child, int expectedSignal)
    {
        long waited = SystemCalls.Wait(child, out int status);
        if (waited != child || (status & 0x7F) != expectedSignal || (expectedSignal == 0 && status != 0))
        {
            Blame(status);
        }
    }

    /// <summary>A child that ended otherwise has said why itself, unless a signal ended it.</summary>
    private static void Blame(int status)
    {
        if ((status & 0x7F) == 0)
        {
            SystemCalls.Exit((status >> 8) & 0xFF);
        }

        Problem.Stop("a child was ended by a signal, perhaps for want of memory"u8, (ulong)(status & 0x7F));
    }
}
