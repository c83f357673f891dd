using Quietus.Stage2;

namespace Quietus.Testing;

/// <summary>
/// The hardware boundary over a <see cref="FakeWorld"/>: tables in a dictionary, and a record of the rest.
/// </summary>
public readonly struct FakeMachine(FakeWorld world) : IStage2Machine
{
    public FakeWorld World => world;

    public bool HasForcedWriteBack => world.HasForcedWriteBack;

    public bool HasRangeInvalidation => world.HasRangeInvalidation;

    public bool HasLevelHint => world.HasLevelHint;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => world.BreakBeforeMakeSupport;

    public ulong ReadEntry(Pa entry) => world.Read(entry.Value);

    public void WriteEntry(Pa entry, ulong value) => world.Write(entry.Value, value);

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired) =>
        world.CompareExchange(entry.Value, expected, desired);

    public bool ReserveTables(uint count) => world.Reserve(count);

    public Pa TakeTable() => new(world.Take());

    public void ReturnTable(Pa table) => world.Return(table.Value);

    public bool TakeRoot(uint tables, out Pa root)
    {
        bool taken = world.TakeRoot(tables, out ulong address);
        root = new Pa(address);
        return taken;
    }

    public void ReturnRoot(Pa root, uint tables) => world.ReturnRoot(root.Value, tables);

    public void DsbInnerShareableStores() => world.Note(MachineOperation.DsbInnerShareableStores);

    public void DsbInnerShareable() => world.Note(MachineOperation.DsbInnerShareable);

    public void DsbFullSystem() => world.Note(MachineOperation.DsbFullSystem);

    public void Isb() => world.Note(MachineOperation.Isb);

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa) =>
        world.Note(MachineOperation.InvalidateIpa, ipa.Ipa.Value, (ulong)(uint)ipa.LevelHint);

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range) =>
        world.Note(MachineOperation.InvalidateIpaRange, range.Start.Value, range.Bytes);

    public void InvalidateCombined(Vmid vmid) => world.Note(MachineOperation.InvalidateCombined, vmid.Value);

    public void InvalidateVmid(Vmid vmid) => world.Note(MachineOperation.InvalidateVmid, vmid.Value);

    public void CleanInvalidateToPoC(Pa start, ulong bytes) =>
        world.Note(MachineOperation.CleanInvalidateToPoC, start.Value, bytes);

    public void InvalidateInstructionCache(Pa start, ulong bytes) =>
        world.Note(MachineOperation.InvalidateInstructionCache, start.Value, bytes);
}
