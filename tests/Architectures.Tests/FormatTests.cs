using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>Every format, field by field, and vectors made by hand from the manuals' drawings.</summary>
public sealed class FormatTests
{
    private static readonly Pa _frame = new(0x4000_0000);
    private static readonly LeafAttributes _memory = LeafAttributes.GuestMemory;
    private static readonly LeafAttributes _readOnly = new(true, false, false, MemoryType.NormalWriteBack);
    private static readonly LeafAttributes _device = new(true, true, true, MemoryType.Device);
    private static readonly LeafAttributes _uncached = new(true, true, false, MemoryType.NormalNonCacheable);

    [Fact]
    public void Lpae_keeps_what_it_is_given() => Keeps<Lpae>(40, [1, 2, 3], All(everyShareability: true));

    [Fact]
    public void Ept_keeps_what_it_is_given() => Keeps<Ept>(48, [1, 2, 3], All());

    [Fact]
    public void Npt_keeps_what_it_is_given() => Keeps<Npt>(48, [1, 2, 3], All());

    [Fact]
    public void Power9_radix_keeps_what_it_is_given() => Keeps<PowerRadix>(48, [1, 2, 3], All());

    [Fact]
    public void A_mips_entry_keeps_what_it_is_given() => Keeps<MipsPte>(40, [3], All());

    // DDI 0406C B3.6.2: V 0, type 1, MemAttr 5:2, HAP 7:6, SH 9:8, AF 10, C 52, XN 54.
    [Fact]
    public void Lpae_leaves_are_what_the_manual_draws()
    {
        Leaf<Lpae>(_memory, 3).ShouldBe(0x4000_07FFUL);
        Leaf<Lpae>(_memory, 2).ShouldBe(0x4000_07FDUL);
        Leaf<Lpae>(_readOnly, 3).ShouldBe(0x4000_077FUL);
        Leaf<Lpae>(_device, 3).ShouldBe(0x0040_0000_4000_07C7UL);
        Leaf<Lpae>(_uncached, 3).ShouldBe(0x4000_07D7UL);
        Lpae.WithTableCount(Lpae.Table(new Pa(0x12_3456_7000)), 512).ShouldBe(0x12_3456_7803UL);
    }

    // SDM 3C tables 28-1 to 28-7: RWX 2:0, type 5:3 (6 is WB), IPAT 6, PS 7, A 8, D 9, XU 10. Bits 11, 54:52 and 62
    // ours.
    [Fact]
    public void Ept_leaves_are_what_the_manual_draws()
    {
        const ulong ours = (1UL << 62) | (7UL << 52) | (1UL << 11);
        Leaf<Ept>(_memory, 3).ShouldBe(ours | 0x4000_0577UL);
        Leaf<Ept>(_memory, 2).ShouldBe(ours | 0x4000_05F7UL);
        Leaf<Ept>(_memory.WithAccessed(false), 1).ShouldBe(ours | 0x4000_04F7UL);
        Leaf<Ept>(_readOnly, 3).ShouldBe((ours & ~(2UL << 52)) | 0x4000_0575UL);
        Leaf<Ept>(_device, 3).ShouldBe((ours & ~(4UL << 52)) | 0x4000_0103UL);
        Leaf<Ept>(_uncached, 3).ShouldBe(ours | 0x4000_050FUL);
        Ept.Table(new Pa(0x1234_5000)).ShouldBe(0x1234_5C07UL);
    }

    // 28.3.3.1: an entry that is written but not read is a misconfiguration.
    [Fact]
    public void No_ept_entry_is_writable_without_being_readable()
    {
        foreach (LeafAttributes attributes in All())
        {
            ulong leaf = Leaf<Ept>(attributes, 3);
            ((leaf & 3) == 2).ShouldBeFalse();
            (Ept.Unpark(Ept.Park(leaf)) & 7).ShouldBe(leaf & 7);
            (Ept.Park(leaf) & ((1UL << 10) | 7)).ShouldBe(0UL);
        }
    }

    // APM 2, 5.3.3 and 15.25.5: P 0, R/W 1, U 2, PWT 3, PCD 4, A 5, D 6, PS 7, NX 63. Bits 9, 10 and 54:52 ours.
    [Fact]
    public void Npt_leaves_are_what_the_manual_draws()
    {
        const ulong ours = (7UL << 52) | (1UL << 10) | (1UL << 9);
        Leaf<Npt>(_memory, 3).ShouldBe(ours | 0x4000_0027UL);
        Leaf<Npt>(_memory, 2).ShouldBe(ours | 0x4000_00A7UL);
        Leaf<Npt>(_readOnly, 3).ShouldBe((ours & ~(2UL << 52)) | 0x4000_0025UL);
        Leaf<Npt>(_device, 3).ShouldBe((1UL << 63) | (ours & ~(4UL << 52)) | 0x4000_003FUL);
        Leaf<Npt>(_uncached, 1).ShouldBe(ours | 0x4000_00B7UL);
        Npt.Table(new Pa(0x1234_5000)).ShouldBe(0x1234_5207UL);
    }

    // Power ISA 3.0B, III 5.7.10.2, from the other end: V 63, leaf 62, RPN 56:12, R 8, C 7, ATT 5:4, EAA 3:0. Bit 10
    // ours.
    [Fact]
    public void Power9_radix_leaves_are_what_the_manual_draws()
    {
        Leaf<PowerRadix>(_memory, 3).ShouldBe(0xC000_0000_4000_0507UL);
        Leaf<PowerRadix>(_memory, 1).ShouldBe(0xC000_0000_4000_0507UL);
        Leaf<PowerRadix>(_readOnly, 3).ShouldBe(0xC000_0000_4000_0105UL);
        Leaf<PowerRadix>(_device, 3).ShouldBe(0xC000_0000_4000_0526UL);
        Leaf<PowerRadix>(_uncached, 3).ShouldBe(0xC000_0000_4000_0537UL);
        PowerRadix.Directory(0x1234_5000, 5).ShouldBe(0x8000_0000_1234_5005UL);
    }

    // 5.7.6.1: HR 63, RTS 62:61 and 7:5 with 52 bits as 21 (0b10101), the root at 59:8, its size 4:0.
    [Fact]
    public void A_partition_table_entry_says_52_bits_and_a_root_of_8192_entries() =>
        PowerRadix.PartitionEntry(0x8000_0000, 13).ShouldBe(0xC000_0000_8000_00ADUL);

    [Fact]
    public void Power_tables_lie_in_memory_big_endian_and_without_the_engine_s_count()
    {
        TablePages pages = new(1UL << 45, isBigEndian: true);
        HookWorld world = new(pages, new HookMeter(), null, 128);
        HookMachine<PowerRadix> machine = new(world);
        Pa table = machine.TakeTable();
        ulong entry = PowerRadix.WithTableCount(PowerRadix.Directory(0x1234_5000, 9), 257);
        machine.WriteEntry(table, entry);

        machine.ReadEntry(table).ShouldBe(entry);
        pages.Raw(table.Value).ShouldBe(0x0950_3412_0000_0080UL);
    }

    // Linux 5.5's layout, and MIPS64 PRA III, EntryLo0: G 0, V 1, D 2, C 5:3, PFN from 6, XI 62, RI 63.
    [Fact]
    public void A_mips_entry_becomes_the_EntryLo_that_the_manual_draws()
    {
        ulong leaf = Leaf<MipsPte>(_memory, 3);
        leaf.ShouldBe((0x4_0000UL << 13) | (5UL << 10) | 0x30FUL);
        MipsPte.EntryLo(leaf).ShouldBe((0x4_0000UL << 6) | (5UL << 3) | 6UL);
        MipsPte.EntryLo(Leaf<MipsPte>(_memory.WithAccessed(false), 3)).ShouldBe((0x4_0000UL << 6) | (5UL << 3) | 4UL);
        MipsPte.EntryLo(Leaf<MipsPte>(_readOnly, 3)).ShouldBe((0x4_0000UL << 6) | (5UL << 3) | 2UL);
        MipsPte.EntryLo(Leaf<MipsPte>(_device, 3)).ShouldBe((1UL << 62) | (0x4_0000UL << 6) | (2UL << 3) | 6UL);
        MipsPte.EntryLo(Leaf<MipsPte>(new LeafAttributes(false, false, false, MemoryType.NormalWriteBack), 3))
            .ShouldBe((1UL << 63) | (0x4_0000UL << 6) | (5UL << 3) | 2UL);
    }

    // ISA 3.0B, III 5.7.9: V 0, H 1, AVA from 7; pp 1:0, M 4, C 7, R 8, RPN 56:12, B 59:58.
    [Fact]
    public void A_hashed_entry_is_what_the_manual_draws()
    {
        HashedPte entry = HashedPte.For(0x1234_5678_9000, 0x4000_0000, isWritable: true, isSecondary: true);
        entry.First.ShouldBe((0x24_68ACUL << 7) | 3UL);
        entry.Second.ShouldBe(0x4000_0192UL);
        HashedPte.For(0x1234_5678_9000, 0x4000_0000, isWritable: false, isSecondary: false).Second
            .ShouldBe(0x4000_0113UL);
        entry.AsAbsent().First.ShouldBe((0x24_68ACUL << 7) | 0x22UL);
        entry.WithoutWrite().Second.ShouldBe(0x4000_0193UL);
    }

    [Fact]
    public void A_hashed_entry_keeps_every_bit_of_its_fields()
    {
        for (int bit = 12; bit < 57; bit++)
        {
            HashedPte.For(0, 1UL << bit, true, false).Frame.ShouldBe(1UL << bit);
        }

        for (int bit = HashedPte.AvaAddressShift; bit < 64; bit++)
        {
            HashedPte entry = HashedPte.For(1UL << bit, 0, true, false);
            entry.Matches(1UL << bit).ShouldBeTrue();
            entry.Matches(0).ShouldBeFalse();
        }
    }

    // EREF, MMU assist registers: MAS1 V 31, TID 27:16, TSIZE 11:7; MAS2 EPN, M 2; MAS3 UX SX UW SW UR SR; MAS8 TGS
    // 31, TLPID 5:0.
    [Fact]
    public void An_e500mc_entry_is_what_the_manual_draws()
    {
        TlbEntry entry = TlbEntry.For(0x1000_0000, 0x1_2340_0000, TlbArrays.Size1M, 5, 3, isWritable: true);
        entry.Mas1.ShouldBe(0x8005_0500U);
        entry.Mas2.ShouldBe(0x1000_0004UL);
        entry.Mas7Mas3.ShouldBe(0x1_2340_003FUL);
        entry.Mas8.ShouldBe(0x8000_0003U);
        entry.WithoutWrite().Mas7Mas3.ShouldBe(0x1_2340_0033UL);
        TlbEntry.For(0, 0, TlbArrays.Size4K, 0, 0, false).Mas1.ShouldBe(0x8000_0100U);
    }

    [Fact]
    public void An_e500mc_entry_keeps_every_value_of_its_fields()
    {
        for (uint size = 0; size <= TlbEntry.SizeMask; size++)
        {
            TlbEntry.For(0, 0, size, 0, 0, true).Size.ShouldBe(size);
        }

        for (uint pid = 0; pid <= TlbEntry.PidMask; pid++)
        {
            TlbEntry.For(0, 0, 2, pid, 0, true).Pid.ShouldBe(pid);
        }

        for (uint lpid = 0; lpid <= TlbEntry.LpidMask; lpid++)
        {
            TlbEntry entry = TlbEntry.For(0x8000_0000, 0xF_FFFF_F000, 2, 1, lpid, true);
            entry.Lpid.ShouldBe(lpid);
            (entry.IsGuests, entry.IsValid, entry.IsWritable).ShouldBe((true, true, true));
            entry.Frame.ShouldBe(0xF_FFFF_F000UL);
            entry.Invalidated().IsValid.ShouldBeFalse();
        }
    }

    private static ulong Leaf<TFormat>(LeafAttributes attributes, int level)
        where TFormat : struct, IDescriptorFormat =>
        TFormat.Leaf(TFormat.LeafTemplate(attributes, level, false), _frame);

    /// <summary>Every permission, type, and access flag; x86, Power and MIPS have no shareability.</summary>
    private static List<LeafAttributes> All(bool everyShareability = false)
    {
        Shareability[] shareabilities = everyShareability
            ? [Shareability.NonShareable, Shareability.OuterShareable, Shareability.InnerShareable]
            : [Shareability.InnerShareable];
        return
        [
            .. from bits in Enumerable.Range(0, 16)
               from type in Enumerable.Range(0, 3)
               from shareability in shareabilities
               select new LeafAttributes(
                   (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (MemoryType)type, shareability, (bits & 8) != 0),
        ];
    }

    private static void Keeps<TFormat>(int outputBits, int[] levels, List<LeafAttributes> all)
        where TFormat : struct, IDescriptorFormat
    {
        TFormat.MaximumOutputBits.ShouldBeGreaterThanOrEqualTo(outputBits);
        Enumerable.Range(-1, 6).Where(TFormat.HasLeafAt).ShouldBe(levels);
        (TFormat.IsValid(0), TFormat.IsParked(0), TFormat.Invalid).ShouldBe((false, false, 0UL));
        for (int bit = 12; bit < outputBits; bit++)
        {
            for (int count = 0; count <= 512; count += bit == 30 ? 1 : 61)
            {
                ulong table = TFormat.WithTableCount(TFormat.Table(new Pa(1UL << bit)), count);
                if (typeof(TFormat) == typeof(MipsPte))
                {
                    // A pointer of software's.
                    continue;
                }

                bool holds = TFormat.IsValid(table) && TFormat.IsTable(table, 0)
                    && TFormat.IsTable(table, 2) && TFormat.TableAddress(table).Value == 1UL << bit
                    && TFormat.TableCount(table) == count && TFormat.Unpark(TFormat.Park(table)) == table
                    && !TFormat.IsValid(TFormat.Park(table))
                    && (count == 512 || TFormat.CountingOneMore(table) == TFormat.WithTableCount(table, count + 1));
                holds.ShouldBeTrue($"{table:x}");
            }
        }

        foreach (int level in levels)
        {
            int shift = 12 + ((3 - level) * 9);
            foreach (LeafAttributes attributes in all)
            {
                ulong template = TFormat.LeafTemplate(attributes, level, false);
                for (int bit = shift; bit < outputBits; bit++)
                {
                    Check<TFormat>(TFormat.Leaf(template, new Pa(1UL << bit)), level, 1UL << bit, attributes, all);
                }
            }
        }
    }

    private static void Check<TFormat>(
        ulong leaf, int level, ulong output, LeafAttributes attributes, List<LeafAttributes> all)
        where TFormat : struct, IDescriptorFormat
    {
        ulong parked = TFormat.Park(leaf);
        bool holds = Is<TFormat>(leaf, level, output, attributes.Bits)
            && !TFormat.IsValid(parked) && TFormat.IsParked(parked) && TFormat.Unpark(parked) == leaf
            && TFormat.OutputAddress(parked, level).Value == output
            && TFormat.IsDevice(parked, false) == (attributes.Type == MemoryType.Device)
            && Is<TFormat>(TFormat.WithoutWrite(leaf), level, output, attributes.WithWrite(false).Bits)
            && Is<TFormat>(TFormat.WithAccessed(leaf, false), level, output, attributes.WithAccessed(false).Bits)
            && Is<TFormat>(TFormat.WithAccessed(leaf, true), level, output, attributes.WithAccessed(true).Bits)
            && TFormat.WithContiguous(TFormat.WithContiguous(leaf, true), false) == leaf
            && (TFormat.ContiguousShift(level) == 0
                || TFormat.IsContiguous(TFormat.WithContiguous(leaf, true)));
        foreach (LeafAttributes other in all.Take(8))
        {
            uint bits = (attributes.Bits & ~LeafAttributes.PermissionBits)
                | (other.Bits & LeafAttributes.PermissionBits);
            holds &= Is<TFormat>(TFormat.WithPermissions(leaf, other), level, output, bits);
        }

        if (!holds)
        {
            Assert.Fail($"{attributes.Bits:x} to {output:x} at level {level} becomes {leaf:x}");
        }
    }

    private static bool Is<TFormat>(ulong leaf, int level, ulong output, uint attributes)
        where TFormat : struct, IDescriptorFormat =>
        TFormat.IsValid(leaf) && (level == 3 || !TFormat.IsTable(leaf, level))
        && TFormat.OutputAddress(leaf, level).Value == output
        && TFormat.Attributes(leaf, false).Bits == attributes;
}
