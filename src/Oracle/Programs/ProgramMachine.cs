using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// What all parts of a host share: the circumstances, the physical machine, its judge, its PEs and VMs, and the story.
/// </summary>
internal sealed class ProgramMachine<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    /// <summary>The one table of what ran before.</summary>
    public const ulong Past = 0x8_0000_0000;

    /// <param name="options">The circumstances.</param>
    /// <param name="contract">What the host does as it must.</param>
    public ProgramMachine(ProgramOptions options, HostContract<TFormat, TMachine> contract)
    {
        Options = options;
        Contract = contract;
        Story = new Narrator(options);
        World = new ModelWorld(options.Chunks, TFormat.GranuleShift, options.PoolIsZero);
        Judge = new Judge(options.Features, TFormat.GranuleShift, options.Pes + 1, options.Listener);
        Judge.AddMemory(new Pa(ModelWorld.PoolStart), World.PoolBytes, isPool: true, options.PoolIsZero);
        Frames = new HostFrames(Judge, Places<TFormat>.Granule, Places<TFormat>.FilePages);
        Guests = new Guest<TFormat, TMachine>?[options.Vms];
        Pes = new PeSet<TFormat, TMachine>(this);
        Boot();
    }

    public ProgramOptions Options { get; }

    public HostContract<TFormat, TMachine> Contract { get; }

    public Narrator Story { get; }

    public ModelWorld World { get; }

    public Judge Judge { get; }

    /// <summary>The host's memory.</summary>
    public HostFrames Frames { get; }

    public PeSet<TFormat, TMachine> Pes { get; }

    /// <summary>The VMs, by their slots.</summary>
    public Guest<TFormat, TMachine>?[] Guests { get; }

    /// <summary>Templates that were told to end and have children yet.</summary>
    public int Ending { get; set; }

    /// <summary>The monitor's own PE, which never runs a guest.</summary>
    public int MonitorPe => Options.Pes;

    /// <summary>
    /// The machine ran something before. What TLBs hold of that, under the first VMID that will be given out, is
    /// invalidated before any guest runs.
    /// </summary>
    private void Boot()
    {
        var root = new Pa(Past);
        Judge.AddMemory(root, Places<TFormat>.Granule, isPool: false, isZero: false);
        Judge.TakeTables(MonitorPe, root, 1);
        Judge.Complete(MonitorPe, BarrierKind.InnerShareableStores);
        JudgedVm before = Judge.AddVm("what ran before", root, 1, startLevel: 1);
        for (int pe = 0; pe < Options.Pes; pe++)
        {
            Judge.Load(pe, before, new Vmid(1));
            Judge.Unload(pe, before);
        }

        Judge.Release(before);
        int pairs = !Contract.InvalidatesAtBoot ? 0 : Options.Features.EarlyCompletion ? 2 : 1;
        for (int pair = 0; pair < pairs; pair++)
        {
            Judge.Invalidate(MonitorPe, TlbiKind.All, default, default, 0, 0, uint.MaxValue);
            Judge.Complete(MonitorPe, BarrierKind.InnerShareable);
        }
    }

    /// <summary>Takes a range out of a VM's Stage-2, in one call.</summary>
    public void Unmap(Guest<TFormat, TMachine> guest, ulong from, ulong to, NotifierEvent why, PageFate fate)
    {
        fate = Contract.Claim(fate);
        Story.LeftOut(UnmapOperation.NotifierRange, why, fate);
        Judge.BeginCall(guest.Judged);
        var range = new NotifierRange(new Ipa(from), new Ipa(to), why, true, fate);
        Contract.Unmap(ref guest.Memory, ref guest.Machine, in range).Sound();
        EndChange(guest);
    }

    /// <summary>A call that changed a VM's memory has returned.</summary>
    public void EndChange(Guest<TFormat, TMachine> guest)
    {
        guest.Port.Settle();
        Story.Issued(guest.Port);
        Judge.EndCall();
    }

    /// <summary>Whether another VM maps an address of a file, which all of them have at the same place.</summary>
    public bool IsMappedElsewhere(Guest<TFormat, TMachine> guest, ulong ipa)
    {
        foreach (Guest<TFormat, TMachine>? other in Guests)
        {
            if (other is not null && other != guest && other.Translate(ipa).IsMapped)
            {
                return true;
            }
        }

        return false;
    }
}
