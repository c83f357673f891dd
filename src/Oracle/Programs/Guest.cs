using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>A VM of a program.</summary>
internal sealed class Guest<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    public required int Slot;
    public required VmPort Port;
    public required string Name;

    /// <summary>Its VMM maps the huge file so that it gets copies of what it writes (MAP_PRIVATE).</summary>
    public required bool IsPrivate;

    public TMachine Machine;
    public GuestMemory<TFormat, TMachine> Memory;
    public VmidLease Lease;
    public JudgedVm? Judged;

    /// <summary>The VMM, to whom its anonymous memory belongs.</summary>
    public int Anonymous;

    /// <summary>The template that it began with; null where it is no child.</summary>
    public Guest<TFormat, TMachine>? Template;

    /// <summary>A template's children.</summary>
    public Offspring Family;

    /// <summary>Places that the guest wrote, and that were not taken from it since.</summary>
    public readonly bool[] Written = new bool[64];

    /// <summary>Dirty logs, while there are any.</summary>
    public ulong[]? Log;

    /// <summary>The host's frames behind the VMM's pages; 0 where a page was never touched.</summary>
    public readonly ulong[] Frames = new ulong[Places<TFormat>.FilePages];

    /// <summary>The VMM's own copies of pages of the huge file; 0 where it has none.</summary>
    public readonly ulong[] Copies = new ulong[Places<TFormat>.HugePlaces];

    /// <summary>The range that goes in bounded calls.</summary>
    public BoundedUnmap Unmapping;

    /// <summary>The fault of each PE, between its steps.</summary>
    public readonly PendingFault[] Faults;

    private readonly int[] _slots = new int[5];

    public Guest(int pes) => Faults = new PendingFault[pes];

    /// <summary>Whether a party is this guest, or one of the templates whose program it goes on with.</summary>
    public bool Wrote(int party) => Judged!.Party == party || Template?.Wrote(party) == true;

    /// <summary>The number of a region's slot.</summary>
    public ref int SlotOf(Region region) => ref _slots[(int)region];

    public Translation Translate(ulong ipa) => Memory.Translate(ref Machine, new Ipa(ipa));
}

/// <summary>A fault whose page was looked up, and which is not committed yet.</summary>
internal struct PendingFault
{
    public bool IsPending;
    public FaultTicket Ticket;
    public Place Place;
}

/// <summary>A range that a caller takes who may not block, between its calls.</summary>
internal struct BoundedUnmap
{
    /// <summary>It has begun, and has not ended.</summary>
    public bool IsUnderWay;

    /// <summary>All of the range was done: what is left is to end it.</summary>
    public bool IsDone;

    /// <summary>The host takes the pages out of their file at the end, too.</summary>
    public bool IsPunched;

    public NotifierRange Range;
    public InvalidationCursor Cursor;
    public Place Of;

    /// <summary>Whether an address is in a range that goes now.</summary>
    public readonly bool Covers(ulong ipa) => IsUnderWay && ipa >= Range.Start.Value && ipa < Range.End.Value;
}
