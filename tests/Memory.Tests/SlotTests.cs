using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Which slots are legal.</summary>
public class SlotTests
{
    private const ulong Limit = 1UL << 36;

    [Theory]
    [InlineData(0x1000UL, 0x1000UL, MemoryResult.Ok)]
    [InlineData(0UL, Limit, MemoryResult.Ok)]
    [InlineData(Limit - 0x1000, 0x1000UL, MemoryResult.Ok)]
    [InlineData(Limit - 0x1000, 0x2000UL, MemoryResult.OutOfRange)]
    [InlineData(Limit, 0x1000UL, MemoryResult.OutOfRange)]
    [InlineData(0UL, Limit + 0x1000, MemoryResult.OutOfRange)]
    [InlineData(0x1000UL, 0UL, MemoryResult.OutOfRange)]
    [InlineData(0x1000UL, 0xFFFF_FFFF_FFFF_F000UL, MemoryResult.OutOfRange)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 0x2000UL, MemoryResult.OutOfRange)]
    [InlineData(0x1001UL, 0x1000UL, MemoryResult.Misaligned)]
    [InlineData(0x1000UL, 0x1001UL, MemoryResult.Misaligned)]
    [InlineData(0x1000UL, 1UL, MemoryResult.Misaligned)]
    public void A_slot_is_whole_granules_inside_the_guests_address_size(ulong start, ulong bytes, MemoryResult expected)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        vm.Memory.AddSlot(new Ipa(start), bytes, SlotOptions.Ram(PageSizing.Pages), out int number).ShouldBe(expected);
        (number >= 0).ShouldBe(expected == MemoryResult.Ok);
    }

    [Theory]
    [InlineData(0x0F_F000UL, 0x1000UL, MemoryResult.Ok)]
    [InlineData(0x0F_F000UL, 0x2000UL, MemoryResult.Overlap)]
    [InlineData(0x10_0000UL, 0x1000UL, MemoryResult.Overlap)]
    [InlineData(0x18_0000UL, 0x1000UL, MemoryResult.Overlap)]
    [InlineData(0x1F_F000UL, 0x2000UL, MemoryResult.Overlap)]
    [InlineData(0x20_0000UL, 0x1000UL, MemoryResult.Ok)]
    [InlineData(0x00_0000UL, 0x40_0000UL, MemoryResult.Overlap)]
    public void Slots_do_not_overlap(ulong start, ulong bytes, MemoryResult expected)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        vm.AddRam(0x10_0000, start: 0x10_0000);
        vm.Memory.AddSlot(new Ipa(start), bytes, SlotOptions.Ram(PageSizing.Pages), out _).ShouldBe(expected);
    }

    [Fact]
    public void The_33rd_slot_is_refused_and_a_removed_number_is_used_again()
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        for (ulong i = 0; i < SlotTable.Capacity; i++)
        {
            vm.AddRam(0x1000, start: i * 0x1000).ShouldBe((int)i);
        }

        SlotOptions ram = SlotOptions.Ram(PageSizing.Pages);
        vm.Memory.AddSlot(new Ipa(0x10_0000), 0x1000, ram, out _).ShouldBe(MemoryResult.TooManySlots);
        vm.Memory.RemoveSlot(ref vm.Machine, 7).ShouldBe(MemoryResult.Ok);
        vm.Fault(0x7000).ShouldBe(FaultResult.NoSlot);
        vm.Memory.AddSlot(new Ipa(0x10_0000), 0x1000, ram, out int number).ShouldBe(MemoryResult.Ok);
        number.ShouldBe(7);
        vm.Fault(0x10_0FFF).ShouldBe(FaultResult.Mapped);
        vm.Fault(0x10_1000).ShouldBe(FaultResult.NoSlot);
    }

    [Theory]
    [InlineData(SlotBacking.Pool, MemoryType.Device, PageFate.AnonymousLastMappingFreed)]
    [InlineData(SlotBacking.Pool, MemoryType.NormalWriteBack, PageFate.FileBacked)]
    [InlineData((SlotBacking)2, MemoryType.NormalWriteBack, PageFate.Unknown)]
    [InlineData(SlotBacking.Host, (MemoryType)3, PageFate.Unknown)]
    [InlineData(SlotBacking.Host, MemoryType.NormalWriteBack, (PageFate)8)]
    public void Options_that_contradict_themselves_are_refused(SlotBacking backing, MemoryType type, PageFate fate)
    {
        var vm = new Vm<Arm<Granule4K>>(new World(2), MaintenancePolicy.Fate);
        var options = new SlotOptions(backing, PageSizing.Pages, type, false, fate);
        vm.Memory.AddSlot(new Ipa(0), 0x1000, options, out _).ShouldBe(MemoryResult.BadArgument);
    }

    [Fact]
    public void Granules_of_16_and_64_kilobytes_bind_slots_too()
    {
        var vm = new Vm<Arm<Granule64K>>(new World(4), MaintenancePolicy.Fate, ipaBits: 40);
        vm.Created.ShouldBe(MemoryResult.Ok);
        SlotOptions ram = SlotOptions.Ram(PageSizing.Pages);
        vm.Memory.AddSlot(new Ipa(0x1000), 0x1_0000, ram, out _).ShouldBe(MemoryResult.Misaligned);
        vm.Memory.AddSlot(new Ipa(0x1_0000), 0x1_0000, ram, out _).ShouldBe(MemoryResult.Ok);
    }
}
