using Quietus.Memory;

namespace Quietus.Oracle.Machines;

/// <summary>A VM's frames and the pool that they come from, on whatever machine.</summary>
internal abstract class FrameView
{
    public abstract ref FramePool Pool { get; }

    public abstract ref VmFrames Frames { get; }
}

/// <summary>Those of a machine, copies of which mean the same machine.</summary>
internal sealed class FrameView<TMachine>(TMachine machine) : FrameView
    where TMachine : struct, IMemoryMachine
{
    private TMachine _machine = machine;

    public override ref FramePool Pool => ref _machine.Pool;

    public override ref VmFrames Frames => ref _machine.Frames;
}
