using System;
using System.Buffers.Binary;
using System.Text;
using Quietus.Hypervisor.DeviceTrees;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

public class FlatDeviceTreeTests
{
    [Fact]
    public void Nodes_properties_and_paths_of_a_tree_are_found()
    {
        FlatDeviceTree tree = Open(Example());
        tree.ReservationCount.ShouldBe(0);
        tree.TryFindPath("/soc/uart@1000"u8, out DeviceTreeNode uart).ShouldBeTrue();
        Text(tree.Name(uart)).ShouldBe("uart@1000");
        tree.TryFindPath("/soc/uart"u8, out DeviceTreeNode same).ShouldBeTrue();
        Text(tree.Name(same)).ShouldBe("uart@1000");
        tree.TryFindPath("serial0"u8, out same).ShouldBeTrue();
        Text(tree.Name(same)).ShouldBe("uart@1000");
        tree.TryFindPath("/soc/uart@1001"u8, out _).ShouldBeFalse();
        tree.TryFindPath("/soc/uar"u8, out _).ShouldBeFalse();
        tree.TryFindPath("serial1"u8, out _).ShouldBeFalse();
        tree.TryFindPath(""u8, out _).ShouldBeFalse();
        tree.TryFindPath("/"u8, out DeviceTreeNode root).ShouldBeTrue();
        tree.Name(root).Length.ShouldBe(0);
        tree.IsCompatible(uart, "vendor,b"u8).ShouldBeTrue();
        tree.IndexInTexts(uart, "compatible"u8, "vendor,b"u8).ShouldBe(1);
        tree.IsCompatible(uart, "vendor"u8).ShouldBeFalse();
        tree.TryFindCompatible("vendor,off"u8, out _).ShouldBeFalse();
        tree.TryFindPhandle(7, out same).ShouldBeTrue();
        Text(tree.Name(same)).ShouldBe("uart@1000");
        tree.TryFindPhandle(8, out _).ShouldBeFalse();
        tree.TryGetCell(uart, "reg"u8, out _).ShouldBeFalse();
        tree.TryGetText(uart, "phandle"u8, out ReadOnlySpan<byte> notText);
        notText.Length.ShouldBeLessThan(4);
    }

    [Fact]
    public void Walking_by_siblings_and_walking_in_order_meet_the_same_nodes()
    {
        FlatDeviceTree tree = Open(TestData.Read("qemu-virt-gicv3-smp3.dtb"));
        int inOrder = 1;
        for (DeviceTreeNode node = tree.Root; tree.TryNext(node, out node);)
        {
            inOrder++;
        }

        Count(ref tree, tree.Root).ShouldBe(inOrder);
        inOrder.ShouldBeGreaterThan(40);
    }

    [Fact]
    public void Addresses_are_translated_through_the_ranges_of_every_bus()
    {
        FlatDeviceTree tree = Open(Example());
        Register(ref tree, "/soc/uart", 0, out AddressRange range).ShouldBe(DeviceTreeError.None);
        range.Start.ShouldBe(0x9_0000_1000UL);
        range.Size.ShouldBe(0x100UL);
        range.End.ShouldBe(0x9_0000_1100UL);
        Register(ref tree, "/soc/uart", 1, out range).ShouldBe(DeviceTreeError.None);
        range.Start.ShouldBe(0x9_0000_2000UL);
        Register(ref tree, "/soc/uart", 2, out _).ShouldBe(DeviceTreeError.NotFound);
        Register(ref tree, "/soc/uart", -1, out _).ShouldBe(DeviceTreeError.NotFound);
        Register(ref tree, "/soc/outside", 0, out _).ShouldBe(DeviceTreeError.NotTranslatable);
        Register(ref tree, "/soc/identity/x", 0, out range).ShouldBe(DeviceTreeError.None);
        range.Start.ShouldBe(0x9_0000_3000UL);
        Register(ref tree, "/soc/opaque/x", 0, out _).ShouldBe(DeviceTreeError.NotTranslatable);
        Register(ref tree, "/soc/wide/x", 0, out _).ShouldBe(DeviceTreeError.BadCells);
        Register(ref tree, "/odd", 0, out _).ShouldBe(DeviceTreeError.BadCells);
        Register(ref tree, "/wraps", 0, out _).ShouldBe(DeviceTreeError.BadCells);
        tree.TryReadRegister(tree.Root, 0, out _).ShouldBe(DeviceTreeError.NotFound);
    }

    [Theory]
    [InlineData(0, 0xD00DFEEEu, DeviceTreeError.BadMagic)]
    [InlineData(4, 39u, DeviceTreeError.BadLayout)]
    [InlineData(4, 0xFFFFFFFFu, DeviceTreeError.BadLayout)]
    [InlineData(4, 0x00FFFFFFu, DeviceTreeError.TooShort)]
    [InlineData(8, 0xFFFFFFFCu, DeviceTreeError.BadLayout)]
    [InlineData(8, 57u, DeviceTreeError.BadLayout)]
    [InlineData(12, 0x7FFFFFFFu, DeviceTreeError.BadLayout)]
    [InlineData(16, 0xFFFFFFF8u, DeviceTreeError.BadLayout)]
    [InlineData(16, 41u, DeviceTreeError.BadLayout)]
    [InlineData(20, 15u, DeviceTreeError.BadVersion)]
    [InlineData(24, 18u, DeviceTreeError.BadVersion)]
    [InlineData(32, 0xFFFFFFFFu, DeviceTreeError.BadLayout)]
    [InlineData(36, 0xFFFFFFFFu, DeviceTreeError.BadLayout)]
    [InlineData(36, 0u, DeviceTreeError.BadToken)]
    [InlineData(36, 8u, DeviceTreeError.BadToken)]
    [InlineData(32, 0u, DeviceTreeError.BadName)]
    [InlineData(56, 9u, DeviceTreeError.BadNesting)]
    [InlineData(56, 2u, DeviceTreeError.BadNesting)]
    [InlineData(56, 3u, DeviceTreeError.BadNesting)]
    [InlineData(56, 5u, DeviceTreeError.BadToken)]
    [InlineData(68, 0x7FFFFFFFu, DeviceTreeError.BadToken)]
    [InlineData(68, 0xFFFFFFFFu, DeviceTreeError.BadToken)]
    [InlineData(72, 0xFFFFFFFFu, DeviceTreeError.BadName)]
    public void A_damaged_field_is_an_error_that_says_which(int offset, uint value, DeviceTreeError expected)
    {
        byte[] blob = Example();
        BinaryPrimitives.WriteUInt32BigEndian(blob.AsSpan(offset), value);
        FlatDeviceTree.Open(blob, out FlatDeviceTree tree).ShouldBe(expected);
        tree.ReservationCount.ShouldBe(0);
        DeviceTreeErrors.Describe(expected).Length.ShouldBeGreaterThan(10);
    }

    [Fact]
    public void Reservations_without_an_end_are_an_error_and_with_one_are_listed()
    {
        byte[] blob = new byte[4096];
        var writer = new DeviceTreeWriter(blob);
        writer.BeginNode(""u8);
        writer.EndNode();
        writer.Finish(out int length).ShouldBe(DeviceTreeError.None);

        // The reservation block moves to the end of the blob, where there is room for two entries.
        byte[] moved = new byte[(length + 7) / 8 * 8 + 32];
        blob.AsSpan(0, length).CopyTo(moved);
        int place = moved.Length - 32;
        BinaryPrimitives.WriteUInt32BigEndian(moved.AsSpan(4), (uint)moved.Length);
        BinaryPrimitives.WriteUInt32BigEndian(moved.AsSpan(16), (uint)place);
        BinaryPrimitives.WriteUInt64BigEndian(moved.AsSpan(place), 0x4000_0000);
        BinaryPrimitives.WriteUInt64BigEndian(moved.AsSpan(place + 8), 0x1000);
        FlatDeviceTree tree = Open(moved);
        tree.ReservationCount.ShouldBe(1);
        tree.ReservationAt(0, out ulong address, out ulong size);
        address.ShouldBe(0x4000_0000UL);
        size.ShouldBe(0x1000UL);
        tree.ReservationAt(1, out address, out size);
        size.ShouldBe(0UL);
        moved[^1] = 1;
        FlatDeviceTree.Open(moved, out _).ShouldBe(DeviceTreeError.BadReservationMap);
    }

    [Fact]
    public void Nodes_nested_deeper_than_the_limit_are_refused()
    {
        for (int depth = FlatDeviceTree.MaximumDepth; depth <= FlatDeviceTree.MaximumDepth + 1; depth++)
        {
            byte[] blob = new byte[4096];
            var writer = new DeviceTreeWriter(blob);
            for (int i = 0; i < depth; i++)
            {
                writer.BeginNode(i == 0 ? ""u8 : "n"u8);
            }

            writer.Cells("reg"u8, [1, 2]);
            for (int i = 0; i < depth; i++)
            {
                writer.EndNode();
            }

            writer.Finish(out _).ShouldBe(DeviceTreeError.None);
            bool fits = depth == FlatDeviceTree.MaximumDepth;
            FlatDeviceTree.Open(blob, out FlatDeviceTree tree)
                .ShouldBe(fits ? DeviceTreeError.None : DeviceTreeError.TooDeep);
            if (fits)
            {
                DeviceTreeNode node = tree.Root;
                while (tree.TryNext(node, out DeviceTreeNode next))
                {
                    node = next;
                }

                tree.Ancestors(node, new DeviceTreeNode[FlatDeviceTree.MaximumDepth]).ShouldBe(depth - 1);
                tree.TryReadRegister(node, 0, out _).ShouldBe(DeviceTreeError.BadCells);
            }
        }
    }

    [Theory]
    [InlineData("qemu-virt-gicv3-smp3.dtb")]
    [InlineData("qemu-virt-gicv2.dtb")]
    public void Damaged_blobs_never_throw_and_never_loop(string name)
    {
        byte[] whole = TestData.Read(name);
        var random = new Random(7);
        int opened = 0;
        int refused = 0;
        MachineDescription machine = default;
        for (int round = 0; round < 50_000; round++)
        {
            byte[] blob = (byte[])whole.Clone();
            int flips = random.Next(1, 6);
            for (int i = 0; i < flips; i++)
            {
                // Half of the damage goes where it hurts: into the header and the first nodes.
                int place = random.Next(random.Next(2) == 0 ? 200 : blob.Length);
                blob[place] = random.Next(3) == 0
                    ? (byte)random.Next(256)
                    : (byte)(blob[place] ^ (1 << random.Next(8)));
            }

            int length = random.Next(10) == 0 ? random.Next(blob.Length) : blob.Length;
            if (FlatDeviceTree.Open(blob.AsSpan(0, length), out FlatDeviceTree tree) == DeviceTreeError.None)
            {
                Decompiler.Show(ref tree).Length.ShouldBeGreaterThan(4);
            }

            if (round % 4 != 0)
            {
                continue;
            }

            MachineError error = MachineDescription.Read(blob.AsSpan(0, length), ref machine, out _);
            opened += error == MachineError.BadDeviceTree ? 0 : 1;
            refused += error == MachineError.None ? 0 : 1;
        }

        opened.ShouldBeGreaterThan(1000);
        refused.ShouldBeGreaterThan(1000);
    }

    private static byte[] Example()
    {
        byte[] blob = new byte[4096];
        var writer = new DeviceTreeWriter(blob);
        writer.BeginNode(""u8);
        writer.Cell("#address-cells"u8, 2);
        writer.Cell("#size-cells"u8, 2);
        writer.BeginNode("aliases"u8);
        writer.Text("serial0"u8, "/soc/uart@1000"u8);
        writer.Text("loop"u8, "loop"u8);
        writer.EndNode();
        writer.BeginNode("soc"u8);
        writer.Cell("#address-cells"u8, 1);
        writer.Cell("#size-cells"u8, 1);
        writer.Cells("ranges"u8, [0x1000, 9, 0x1000, 0x4000]);
        writer.BeginNode("uart"u8, 0x1000);
        writer.Property("compatible"u8, "vendor,a\0vendor,b\0"u8);
        writer.Cell("phandle"u8, 7);
        writer.Cells("reg"u8, [0x1000, 0x100, 0x2000, 0x100]);
        writer.EndNode();
        writer.BeginNode("off"u8);
        writer.Text("compatible"u8, "vendor,off"u8);
        writer.Text("status"u8, "disabled"u8);
        writer.EndNode();
        writer.BeginNode("outside"u8);
        writer.Cells("reg"u8, [0x4F00, 0x101]);
        writer.EndNode();
        Bus(ref writer, "identity"u8, ranges: true, 1);
        Bus(ref writer, "opaque"u8, ranges: false, 1);
        Bus(ref writer, "wide"u8, ranges: true, 3);
        writer.EndNode();
        writer.BeginNode("odd"u8);
        writer.Cells("reg"u8, [1, 2, 3]);
        writer.EndNode();
        writer.BeginNode("wraps"u8);
        writer.DoubleCells("reg"u8, [ulong.MaxValue - 1, 3]);
        writer.EndNode();
        writer.EndNode();
        writer.Finish(out int length).ShouldBe(DeviceTreeError.None);
        return blob.AsSpan(0, length).ToArray();
    }

    private static void Bus(ref DeviceTreeWriter writer, ReadOnlySpan<byte> name, bool ranges, uint addressCells)
    {
        writer.BeginNode(name);
        writer.Cell("#address-cells"u8, addressCells);
        writer.Cell("#size-cells"u8, 1);
        if (ranges)
        {
            writer.Property("ranges"u8);
        }

        writer.BeginNode("x"u8);
        writer.Cells("reg"u8, [0x3000, 0x10]);
        writer.EndNode();
        writer.EndNode();
    }

    private static FlatDeviceTree Open(byte[] blob)
    {
        FlatDeviceTree.Open(blob, out FlatDeviceTree tree).ShouldBe(DeviceTreeError.None);
        return tree;
    }

    private static DeviceTreeError Register(ref FlatDeviceTree tree, string path, int index, out AddressRange range)
    {
        tree.TryFindPath(Encoding.ASCII.GetBytes(path), out DeviceTreeNode node).ShouldBeTrue(path);
        return tree.TryReadRegister(node, index, out range);
    }

    private static int Count(ref FlatDeviceTree tree, DeviceTreeNode node)
    {
        int count = 1;
        for (bool more = tree.TryFirstChild(node, out DeviceTreeNode child);
            more;
            more = tree.TryNextSibling(child, out child))
        {
            count += Count(ref tree, child);
        }

        return count;
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.ASCII.GetString(bytes);
}
