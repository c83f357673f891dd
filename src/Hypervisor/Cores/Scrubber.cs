using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>What scrubbing came to since the boot.</summary>
internal struct ScrubFigures
{
    internal ulong Chunks;

    /// <summary>Ticks (<see cref="Stopwatch"/>) of overwriting with zeroes.</summary>
    internal ulong ZeroTicks;

    /// <summary>Ticks of cleaning to the PoC.</summary>
    internal ulong CleanTicks;

    internal ulong DataCacheLines;

    internal void Add(in ScrubFigures other)
    {
        Chunks += other.Chunks;
        ZeroTicks += other.ZeroTicks;
        CleanTicks += other.CleanTicks;
        DataCacheLines += other.DataCacheLines;
    }

    internal readonly void Write(ref LineBuilder line)
    {
        bool isExact = Stopwatch.CountsInstructions;
        line.Field(MeasureFields.ScrubbedChunks, Chunks);
        line.Field(isExact ? MeasureFields.ScrubZeroInstructions : MeasureFields.ScrubZeroTicks, ZeroTicks);
        line.Field(isExact ? MeasureFields.ScrubCleanInstructions : MeasureFields.ScrubCleanTicks, CleanTicks);
        line.Field(MeasureFields.ScrubDcLines, DataCacheLines);
    }
}

/// <summary>
/// Dirty chunks are made clean by cores that have nothing else to do, and by the monitor's order. A core looks for its
/// own orders after every step of 64 KB, and leaves off.
/// </summary>
internal static unsafe class Scrubber
{
    private static bool _whenAsked;
    private static bool _isPaused;
    private static SpinLock _lock;
    private static ScrubFigures _figures;

    /// <summary>Leaves scrubbing to the order, so that nothing disturbs what is being measured.</summary>
    internal static bool OnlyWhenAsked
    {
        get => Volatile.Read(ref _whenAsked);
        set => Volatile.Write(ref _whenAsked, value);
    }

    internal static ScrubFigures Figures
    {
        get
        {
            _lock.Enter();
            ScrubFigures figures = _figures;
            _lock.Leave();
            return figures;
        }
    }

    /// <summary>
    /// An idle core's work: one chunk, unless an order comes in between. False when there is nothing to do.
    /// </summary>
    internal static bool TryOne(Core* core) => !OnlyWhenAsked && Platform.Pool.HasDirty && One(core);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool One(Core* core)
    {
        // Invariant: the state outlives the machine; both are this call's.
        El2MachineState state = default;
        state.Pool = Platform.PoolPointer;
        El2Machine machine = new(&state);
        ScrubJob job = default;
        if (Volatile.Read(ref _isPaused) || !job.TryBegin(ref machine))
        {
            return false;
        }

        ScrubFigures figures = default;
        bool isDone = false;
        while (!isDone && !core->IsWanted && !OnlyWhenAsked && !Volatile.Read(ref _isPaused))
        {
            isDone = Step(ref machine, ref job, ref figures);
        }

        job.Abandon(ref machine);
        Note(&state, ref figures);
        return isDone;
    }

    /// <summary>All that is dirty now, on this core.</summary>
    internal static ScrubFigures Everything()
    {
        // Invariant: as above.
        El2MachineState state = default;
        state.Pool = Platform.PoolPointer;
        El2Machine machine = new(&state);
        ScrubJob job = default;
        ScrubFigures figures = default;
        while (job.TryBegin(ref machine))
        {
            while (!Step(ref machine, ref job, ref figures))
            {
                MonitorLoop.PollInterrupts();
            }
        }

        Note(&state, ref figures);
        return figures;
    }

    /// <summary>
    /// Stops the idle cores, so that each free chunk is there to be had. They leave off within a step; waits for it.
    /// </summary>
    internal static void Pause()
    {
        Volatile.Write(ref _isPaused, true);
        while (Platform.Pool.IsScrubbing)
        {
        }
    }

    /// <summary>Lets the idle cores go on, and wakes them.</summary>
    internal static void Resume()
    {
        Volatile.Write(ref _isPaused, false);
        Wake();
    }

    /// <summary>There may be something to scrub.</summary>
    internal static void Wake()
    {
        if (OnlyWhenAsked || !Platform.Pool.HasDirty)
        {
            return;
        }

        Dispatcher.KickIdle();
    }

    private static bool Step(ref El2Machine machine, ref ScrubJob job, ref ScrubFigures figures)
    {
        ulong begin = Stopwatch.Count();
        job.Zero(ref machine);
        ulong zeroed = Stopwatch.Count();
        bool isDone = job.Clean(ref machine);
        figures.ZeroTicks += zeroed - begin;
        figures.CleanTicks += Stopwatch.Count() - zeroed;
        figures.Chunks += isDone ? 1u : 0u;
        return isDone;
    }

    private static void Note(El2MachineState* state, ref ScrubFigures figures)
    {
        figures.DataCacheLines = state->Counters.DataCacheLines;
        _lock.Enter();
        _figures.Add(in figures);
        _lock.Leave();
    }
}
