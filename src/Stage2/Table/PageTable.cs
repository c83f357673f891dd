using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>
/// The Stage-2 translation tables of one VM, and every way to change them.
/// <para>
/// The value holds no reference: it may lie in any memory, zeroed when there is no table. It is not to be copied.
/// The machine is handed to each operation. The caller holds the VM's memory lock for the length of each call;
/// hardware may walk the tables meanwhile.
/// </para>
/// <para>
/// The tree, with the 4K granule and an IPA size of 40 bits: level 0 is left out, and two concatenated tables of level
/// 1 are the root. A descriptor that leads to a table also holds that table's count of valid entries
/// (<see cref="IDescriptorFormat.TableCount"/>); a table whose count falls to zero is unlinked, the root excepted.
/// <code>
///  root, level 1        level 2              level 3
/// ┌──────────────┐  ┌─►┌──────────────┐  ┌─►┌──────────────┐
/// │ table, 2   ──┼──┘  │ block of 2M  │  │  │ page of 4K   │
/// │ invalid      │     │ table, 3   ──┼──┘  │ invalid      │
/// │ block of 1G  │     │ invalid      │     │ page of 4K   │
/// │ …            │     │ …            │     │ page of 4K   │
/// └──────────────┘     └──────────────┘     └──────────────┘
/// </code>
/// A walk (<c>Descend</c>) takes its index into each table from the IPA, and ends at a leaf or an invalid entry:
/// <code>
///  39              30 29          21 20          12 11           0
/// ┌──────────────────┬──────────────┬──────────────┬──────────────┐
/// │ index in root    │ index in 2   │ index in 3   │ in the page  │
/// └──────────────────┴──────────────┴──────────────┴──────────────┘
/// </code>
/// An operation on a range goes by runs (<c>RunAt</c>): the entries of one table, from where a walk ended to the end of
/// the range, of the table or of the budget. It stops at an entry that leads to a table, and walks again from there.
/// </para>
/// <para>
/// Two ways to unmap. <c>…Eager</c> operations do for each entry what Linux 5.5 did (virt/kvm/arm/mmu.c): clear,
/// invalidate, maintain. <see cref="Unmap"/> does it for a batch of entries at once. Both owe nothing afterwards, and
/// so do the operations that break before they make: the invalidation has to happen between the two. Changes of what
/// leaves permit hand out a <see cref="MaintenanceDebt"/>, to be settled by <see cref="Settle"/>.
/// </para>
/// </summary>
public partial struct PageTable<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IStage2Machine
{
    private const int EntryShift = 3;

    private Pa _root;
    private Stage2Geometry _geometry;
    private Vmid _vmid;
    private bool _forcedWriteBack;
    private LevelCounts _leaves;
    private ulong _tables;

    /// <summary>One figure for each level, 0 to 3.</summary>
    [InlineArray(Stage2Geometry.LastLevel + 1)]
    private struct LevelCounts
    {
        private ulong _first;
    }

    /// <summary>Whether there is a root.</summary>
    public readonly bool Exists => _root.Value != 0;

    public readonly Pa Root => _root;

    public readonly Stage2Geometry Geometry => _geometry;

    /// <summary>
    /// The identifier that TLB operations use. Before a caller changes it (a rollover), it has invalidated the old one,
    /// or every one.
    /// </summary>
    public Vmid Vmid
    {
        readonly get => _vmid;
        set => _vmid = value;
    }

    /// <summary>Table pages that are linked, those of the root included.</summary>
    public readonly ulong TableCount => _tables;

    /// <summary>VTTBR_EL2 for this table.</summary>
    public readonly ulong Vttbr => TranslationControl.Vttbr(_root, _vmid);

    /// <summary>Leaves of a level, 0 to 3: pages at 3, blocks above.</summary>
    public readonly ulong LeafCount(int level) => _leaves[level];

    /// <summary>
    /// Makes an empty table. <see cref="Stage2Result.OutOfTables"/> when there is no root to be had;
    /// <see cref="Stage2Result.IllegalLevel"/> for a geometry of another format, or none.
    /// </summary>
    public static Stage2Result Create(ref TMachine machine, Stage2Geometry geometry, Vmid vmid,
        out PageTable<TFormat, TMachine> table)
    {
        table = default;
        if (geometry.RootTables == 0 || geometry.GranuleShift != TFormat.GranuleShift)
        {
            return Stage2Result.IllegalLevel;
        }

        if (!machine.TakeRoot(geometry.RootTables, out Pa root))
        {
            return Stage2Result.OutOfTables;
        }

        machine.DsbInnerShareableStores();
        table._root = root;
        table._geometry = geometry;
        table._vmid = vmid;
        table._forcedWriteBack = machine.HasForcedWriteBack;
        table._tables = geometry.RootTables;
        return Stage2Result.Done;
    }
}
