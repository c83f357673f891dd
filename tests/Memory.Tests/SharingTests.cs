using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Templates and their children: who sees what, who owns what, and what is left when they are gone.</summary>
public class SharingTests
{
    private const ulong Mb = 1UL << 20;
    private const ulong Base = Vm<Arm<Granule4K>>.RamStart;
    private const ulong Size = 8 * Mb;

    [Theory]
    [InlineData(PageSizing.Pages)]
    [InlineData(PageSizing.Blocks)]
    public void A_child_reads_its_template_without_a_fault_and_keeps_its_writes_to_itself(PageSizing sizing)
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world, sizing);
        Vm<Arm<Granule4K>> first = Child(world, template, 2);
        Vm<Arm<Granule4K>> second = Child(world, template, 3);
        for (ulong at = 0; at < Size; at += 4096)
        {
            first.Read(Base + at).ShouldBe(at);
        }

        first.Translate(Base).Attributes.Write.ShouldBeFalse();
        first.Fault(Base + 0x5008).ShouldBe(FaultResult.Mapped);
        first.Write(Base + 0x5000, 77);
        first.Read(Base + 0x5000).ShouldBe(77UL);
        template.Read(Base + 0x5000).ShouldBe(0x5000UL);
        second.Read(Base + 0x5000).ShouldBe(0x5000UL);
        first.Translate(Base + 0x6000).Output.ShouldBe(template.Translate(Base + 0x6000).Output);
        world.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void A_birth_takes_one_chunk_and_copies_nothing()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        int free = world.Pool.Usage.FreeChunks;
        world.Counts = new Counts();
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        world.Counts.CopiedBytes.ShouldBe(0);
        world.Counts.EntryReads.ShouldBe(1);
        world.Counts.EntryWrites.ShouldBe(1);
        (free - world.Pool.Usage.FreeChunks).ShouldBe(1);
        child.UsedFrames.ShouldBe(child.Memory.Geometry.RootTables);
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 64)]
    public void A_copy_is_clean_to_the_PoC_unless_write_back_is_forced(bool forcedWriteBack, int lines)
    {
        var world = new World(24) { HasForcedWriteBack = forcedWriteBack };
        Vm<Arm<Granule4K>> child = Child(world, Template(world), 2);
        child.Fault(Base).ShouldBe(FaultResult.Mapped);
        world.Counts = new Counts();
        world.Log = [];
        child.Fault(Base + 0x3000).ShouldBe(FaultResult.Mapped);
        world.Counts.CopiedBytes.ShouldBe(4096);
        world.Counts.DcLines.ShouldBe(lines);
        (world.Counts.TlbiIpa + world.Counts.TlbiVmid).ShouldBe(1);
        world.Log.ShouldNotContain("tlbi vmid 1");
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 64 * 2048)]
    public void A_freeze_cleans_what_a_guest_may_have_written_past_the_caches(bool forcedWriteBack, int lines)
    {
        var world = new World(24) { HasForcedWriteBack = forcedWriteBack };
        var template = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        template.AddRam(Size);
        template.Dirty(Base, Size);
        world.Counts = new Counts();
        template.Memory.Freeze(ref template.Machine).ShouldBe(MemoryResult.Ok);
        world.Counts.DcLines.ShouldBe(lines);
        world.Counts.TlbiVmid.ShouldBe(1);
    }

    /// <summary>A frame may have held another VM's code; and a shared page may be executed first by a child.</summary>
    [Fact]
    public void What_a_child_executes_is_invalidated_in_the_instruction_cache_first()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        world.Counts = new Counts();
        child.Fault(Base + 0x7000, AccessKind.Execute).ShouldBe(FaultResult.Mapped);
        world.Counts.IcBytes.ShouldBe(4096);
        child.Translate(Base + 0x7000).Output.ShouldBe(template.Translate(Base + 0x7000).Output);
        template.Translate(Base + 0x7000).Attributes.ExecuteNever.ShouldBeTrue();
        child.Fault(Base + 0x7000).ShouldBe(FaultResult.Mapped);
        child.Translate(Base + 0x7000).Attributes.ExecuteNever.ShouldBeTrue();
        child.Fault(Base + 0x7000, AccessKind.Execute).ShouldBe(FaultResult.Mapped);
        world.Counts.IcBytes.ShouldBe(2 * 4096);
    }

    [Fact]
    public void A_child_touches_what_its_template_never_did()
    {
        var world = new World(24);
        var template = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        template.AddRam(Size);
        template.Dirty(Base, Mb);
        template.Memory.Freeze(ref template.Machine).ShouldBe(MemoryResult.Ok);
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        child.Fault(Base + Mb, level: 3).ShouldBe(FaultResult.Mapped);
        child.Fault(Base + (5 * Mb), level: 2).ShouldBe(FaultResult.Mapped);
        template.Translate(Base + Mb).IsMapped.ShouldBeFalse();
        child.Memory.MappedPages.ShouldBe(256UL + 2);
    }

    [Fact]
    public void A_child_unmaps_and_logs_what_is_shared()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        child.Fault(Base + (3 * Mb)).ShouldBe(FaultResult.Mapped);
        child.Unmap(Base + 0x1000, 5 * Mb).ShouldBe(MemoryResult.Ok);
        child.Translate(Base + (3 * Mb)).IsMapped.ShouldBeFalse();
        child.Translate(Base).IsMapped.ShouldBeTrue();
        var log = new Pinned<ulong>((int)GuestMemory<Arm<Granule4K>, TestMachine>.DirtyLogWords(Size));
        child.Memory.StartDirtyLog(ref child.Machine, 0, log.Array).ShouldBe(MemoryResult.Ok);
        child.Fault(Base + (7 * Mb)).ShouldBe(FaultResult.Mapped);
        ulong[] dirty = new ulong[log.Array.Count];
        child.Memory.GetAndClearDirtyLog(ref child.Machine, 0, dirty).ShouldBe(MemoryResult.Ok);
        dirty.Sum(System.Numerics.BitOperations.PopCount).ShouldBe(1);
        template.Leaves().Count.ShouldBe(2048);
        world.Pool.RefusedFrees.ShouldBe(0UL);
    }

    [Fact]
    public void A_dead_child_gives_its_own_chunks_back_and_no_other()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        int free = world.Pool.Usage.FreeChunks;
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        child.Fault(Base).ShouldBe(FaultResult.Mapped);
        ReleaseReport report = child.Release();
        report.Result.ShouldBe(MemoryResult.Ok);
        world.Pool.Usage.FreeChunks.ShouldBe(free);
        template.Read(Base + 0x1000).ShouldBe(0x1000UL);
    }

    [Fact]
    public void A_reset_forgets_what_the_child_wrote_and_visits_nothing()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        child.Dirty(Base, 2 * Mb);
        child.Write(Base, 99);
        int free = world.Pool.Usage.FreeChunks;
        world.Counts = new Counts();
        child.Memory.Reset(ref child.Machine, ref template.Memory).ShouldBe(MemoryResult.Ok);
        world.Counts.EntryReads.ShouldBe(1);
        world.Counts.TlbiVmid.ShouldBe(1);
        child.Read(Base).ShouldBe(0UL);
        world.Pool.Usage.FreeChunks.ShouldBeGreaterThan(free);
        child.Memory.Vmid.Value.ShouldBe((ushort)2);
        template.Memory.Reset(ref template.Machine, ref template.Memory).ShouldBe(MemoryResult.NotShareable);
    }

    [Fact]
    public void A_child_can_be_a_template_in_its_turn()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        Vm<Arm<Granule4K>> child = Child(world, template, 2);
        child.Fault(Base).ShouldBe(FaultResult.Mapped);
        child.Write(Base, 5);
        world.Counts = new Counts();
        child.Memory.Freeze(ref child.Machine).ShouldBe(MemoryResult.Ok);
        world.Counts.DcLines.ShouldBe(64, "the template's pages are clean already");
        Vm<Arm<Granule4K>> grandchild = Child(world, child, 3);
        grandchild.Read(Base).ShouldBe(5UL);
        grandchild.Read(Base + 0x1000).ShouldBe(0x1000UL);
        grandchild.Fault(Base + 0x1000).ShouldBe(FaultResult.Mapped);
        grandchild.Write(Base + 0x1000, 6);
        child.Read(Base + 0x1000).ShouldBe(0x1000UL);
    }

    [Fact]
    public void Nothing_changes_a_template()
    {
        var world = new World(24);
        Vm<Arm<Granule4K>> template = Template(world);
        template.Fault(Base).ShouldBe(FaultResult.NoMemory);
        template.Unmap(Base, Mb).ShouldBe(MemoryResult.Frozen);
        template.Memory.RemoveSlot(ref template.Machine, 0).ShouldBe(MemoryResult.Frozen);
        template.Memory.AddSlot(new Ipa(Base + Size), Mb, SlotOptions.Ram(PageSizing.Pages), out _)
            .ShouldBe(MemoryResult.Frozen);
        template.Memory.Age(ref template.Machine, new Ipa(Base), Mb, out _).ShouldBe(MemoryResult.Frozen);
        template.Memory.Freeze(ref template.Machine).ShouldBe(MemoryResult.Frozen);
        template.Leaves().Count.ShouldBe(2048);
    }

    public static TheoryData<MaintenancePolicy> OtherPolicies =>
        [.. System.Enum.GetValues<MaintenancePolicy>().Where(policy => policy != MaintenancePolicy.Fate)];

    [Theory]
    [MemberData(nameof(OtherPolicies))]
    public void Only_fate_can_be_frozen(MaintenancePolicy policy)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(8), policy);
        vm.Memory.Freeze(ref vm.Machine).ShouldBe(MemoryResult.NotShareable);
        vm.Memory.IsFrozen.ShouldBeFalse();
    }

    [Fact]
    public void What_a_host_can_change_is_no_template_and_what_is_none_has_no_children()
    {
        var world = new World(8);
        var vm = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        vm.AddHost(Mb, Base, PageFate.FileBacked);
        vm.Memory.Freeze(ref vm.Machine).ShouldBe(MemoryResult.NotShareable);
        var child = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        child.Release();
        GuestMemory<Arm<Granule4K>, TestMachine>.Fork(ref child.Machine, ref child.Memory, ref vm.Memory, new Vmid(9))
            .ShouldBe(MemoryResult.NotShareable);
        child.Memory.Exists.ShouldBeFalse();
    }

    /// <summary>With each number of chunks too few: an answer, nothing half-made, and everything comes back.</summary>
    [Theory]
    [InlineData(PageSizing.Pages)]
    [InlineData(PageSizing.Blocks)]
    public void Out_of_memory_at_every_step_loses_nothing(PageSizing sizing)
    {
        for (int spare = 0; spare < 5; spare++)
        {
            var world = new World(24);
            Vm<Arm<Granule4K>> template = Template(world, sizing);
            var hoarder = new VmRecord();
            world.Pool.Adopt(ref hoarder.Frames, 12);
            while (world.Pool.Usage.FreeChunks > spare)
            {
                world.Pool.AllocateWhole(ref hoarder.Frames, out _, out _).ShouldBe(PoolResult.Ok);
            }

            var child = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, 2);
            child.Release();
            MemoryResult born = GuestMemory<Arm<Granule4K>, TestMachine>.Fork(
                ref child.Machine, ref child.Memory, ref template.Memory, new Vmid(2));
            born.ShouldBe(spare == 0 ? MemoryResult.OutOfMemory : MemoryResult.Ok);
            List<FaultResult> results = [];
            for (ulong at = 0; at < Size && born == MemoryResult.Ok; at += 4096)
            {
                results.Add(child.Fault(Base + at));
                child.Read(Base + at).ShouldBe(at);
            }

            results.Contains(FaultResult.OutOfMemory).ShouldBe(born == MemoryResult.Ok);
            results.ShouldAllBe(result => result == FaultResult.Mapped || result == FaultResult.OutOfMemory);
            child.Release();
            world.Pool.Usage.FreeChunks.ShouldBe(spare);
            world.Pool.RefusedFrees.ShouldBe(0UL);
            template.Release();
        }
    }

    [Fact]
    public void A_template_goes_with_its_last_child()
    {
        Offspring family = default;
        family.TryBear().ShouldBeTrue();
        family.TryBear().ShouldBeTrue();
        family.Leave().ShouldBeFalse();
        family.End().ShouldBeFalse();
        family.TryBear().ShouldBeFalse();
        family.Living.ShouldBe(1U);
        family.Leave().ShouldBeTrue();
        Offspring childless = default;
        childless.End().ShouldBeTrue();
    }

    private static Vm<Arm<Granule4K>> Template(World world, PageSizing sizing = PageSizing.Pages)
    {
        var template = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate);
        template.AddRam(Size, sizing);
        template.Dirty(Base, Size);
        for (ulong at = 0; at < Size; at += 4096)
        {
            template.Write(Base + at, at);
        }

        template.Memory.Freeze(ref template.Machine).ShouldBe(MemoryResult.Ok);
        return template;
    }

    private static Vm<Arm<Granule4K>> Child(World world, Vm<Arm<Granule4K>> template, ushort vmid)
    {
        var child = new Vm<Arm<Granule4K>>(world, MaintenancePolicy.Fate, vmid);
        child.Release();
        GuestMemory<Arm<Granule4K>, TestMachine>.Fork(
            ref child.Machine, ref child.Memory, ref template.Memory, new Vmid(vmid)).ShouldBe(MemoryResult.Ok);
        return child;
    }
}
