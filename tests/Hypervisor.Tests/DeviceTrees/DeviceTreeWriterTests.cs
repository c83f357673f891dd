using System;
using Quietus.Hypervisor.DeviceTrees;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

public class DeviceTreeWriterTests
{
    [Fact]
    public void What_is_written_reads_back()
    {
        byte[] blob = new byte[2048];
        Write(blob, out int length).ShouldBe(DeviceTreeError.None);
        FlatDeviceTree.Open(blob.AsSpan(0, length), out FlatDeviceTree tree).ShouldBe(DeviceTreeError.None);
        Decompiler.Show(ref tree).ShouldBe(
            """
            / {
              compatible = "a,b"
              numbers = <0x1 0xffffffff>
              child@90f0000 {
                compatible = "x", "yz"
                wide = <0x1 0x2>
                flag
              }
              zero@0 {
                one = <0x5>
              }
              deep@ffffffffffffffff {
                pairs = <0x0 0x1 0xffffffff 0xffffffff>
              }
            }

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void A_buffer_that_is_too_small_is_an_error_and_nothing_is_written_past_its_end()
    {
        byte[] whole = new byte[2048];
        Write(whole, out int needed).ShouldBe(DeviceTreeError.None);
        bool fitted = false;
        for (int room = 0; room < 1500; room++)
        {
            byte[] memory = new byte[room + 16];
            Array.Fill(memory, (byte)0xEE);
            DeviceTreeError error = Write(memory.AsSpan(0, room), out int length);
            if (error == DeviceTreeError.None)
            {
                fitted = true;
                length.ShouldBe(needed);
            }
            else
            {
                fitted.ShouldBeFalse();
                error.ShouldBe(DeviceTreeError.NoRoom);
                length.ShouldBe(0);
            }

            memory.AsSpan(room).IndexOfAnyExcept((byte)0xEE).ShouldBe(-1);
        }

        fitted.ShouldBeTrue();
    }

    [Fact]
    public void Nodes_that_are_not_ended_are_an_error()
    {
        var writer = new DeviceTreeWriter(new byte[2048]);
        writer.BeginNode(""u8);
        writer.Finish(out _).ShouldBe(DeviceTreeError.BadNesting);
    }

    [Fact]
    public void More_names_than_fit_are_an_error()
    {
        var writer = new DeviceTreeWriter(new byte[65536]);
        writer.BeginNode(""u8);
        Span<byte> name = stackalloc byte[30];
        for (int i = 0; i < 40; i++)
        {
            name.Fill((byte)('A' + i));
            writer.Property(name);
        }

        writer.EndNode();
        writer.Finish(out _).ShouldBe(DeviceTreeError.NoRoom);
    }

    private static DeviceTreeError Write(Span<byte> memory, out int length)
    {
        var writer = new DeviceTreeWriter(memory);
        writer.BeginNode(""u8);
        writer.Text("compatible"u8, "a,b"u8);
        writer.Cells("numbers"u8, [1, 0xFFFF_FFFF]);
        writer.BeginNode("child"u8, 0x90F_0000);
        writer.Property("compatible"u8, "x\0yz\0"u8);
        writer.DoubleCell("wide"u8, 0x1_0000_0002);
        writer.Property("flag"u8);
        writer.EndNode();
        writer.BeginNode("zero"u8, 0);
        writer.Cell("one"u8, 5);
        writer.EndNode();
        writer.BeginNode("deep"u8, ulong.MaxValue);
        writer.DoubleCells("pairs"u8, [1, ulong.MaxValue]);
        writer.EndNode();
        writer.EndNode();
        return writer.Finish(out length);
    }
}
