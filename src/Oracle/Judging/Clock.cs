namespace Quietus.Oracle.Judging;

/// <summary>
/// The order of events, and how far each PE's writes are visible. Invariant: a write of a PE at some time is visible to
/// every walk and every PE as soon as that PE has completed a DSB at a later time.
/// </summary>
internal sealed class Clock(int pes)
{
    private readonly ulong[] _barriers = new ulong[pes];

    public int Pes => _barriers.Length;

    /// <summary>The time now. It begins at 1, so that 0 stands for never.</summary>
    public ulong Now { get; private set; } = 1;

    public ulong Tick() => ++Now;

    /// <summary>A PE completes a DSB of any kind.</summary>
    public void Barrier(int pe) => _barriers[pe] = ++Now;

    public bool IsVisible(int pe, ulong writtenAt) => _barriers[pe] > writtenAt;
}
