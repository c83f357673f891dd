using System;
using System.Text;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Tests.DeviceTrees;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Guests;

public class GuestDeviceTreeTests
{
    [Fact]
    public void The_tree_of_two_vcpus_with_a_ramdisk_is_this()
    {
        GuestDeviceTree guest = Guest(2);
        guest.RamdiskStart = 0x4800_0000;
        guest.RamdiskBytes = 0x12_3456;
        Show(guest, "console=ttyAMA0 quiet").ShouldBe(
            """
            / {
              #address-cells = <0x2>
              #size-cells = <0x2>
              compatible = "linux,dummy-virt"
              model = "Quietus"
              interrupt-parent = <0x1>
              chosen {
                bootargs = "console=ttyAMA0 quiet"
                stdout-path = "/pl011@9000000"
                linux,initrd-start = <0x0 0x48000000>
                linux,initrd-end = <0x0 0x48123456>
              }
              memory@40000000 {
                device_type = "memory"
                reg = <0x0 0x40000000 0x0 0x40000000>
              }
              cpus {
                #address-cells = <0x1>
                #size-cells = <0x0>
                cpu@0 {
                  device_type = "cpu"
                  compatible = "arm,armv8"
                  reg = <0x0>
                  enable-method = "psci"
                }
                cpu@1 {
                  device_type = "cpu"
                  compatible = "arm,armv8"
                  reg = <0x1>
                  enable-method = "psci"
                }
              }
              psci {
                compatible = "arm,psci-1.0", "arm,psci-0.2"
                method = "hvc"
              }
              intc@8000000 {
                compatible = "arm,gic-v3"
                interrupt-controller
                #interrupt-cells = <0x3>
                reg = <0x0 0x8000000 0x0 0x10000 0x0 0x80a0000 0x0 0x40000>
                phandle = <0x1>
              }
              timer {
                compatible = "arm,armv8-timer"
                interrupts = <0x1 0xd 0x4 0x1 0xe 0x4 0x1 0xb 0x4 0x1 0xa 0x4>
                always-on
              }
              apb-pclk {
                compatible = "fixed-clock"
                #clock-cells = <0x0>
                clock-frequency = <0x16e3600>
                phandle = <0x2>
              }
              pl011@9000000 {
                compatible = "arm,pl011", "arm,primecell"
                reg = <0x0 0x9000000 0x0 0x1000>
                interrupts = <0x0 0x1 0x4>
                clock-names = "uartclk", "apb_pclk"
                clocks = <0x2 0x2>
              }
              freeze@9060000 {
                compatible = "quietus,freeze"
                reg = <0x0 0x9060000 0x0 0x1000>
              }
            }

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Without_a_ramdisk_and_a_seed_their_properties_are_absent()
    {
        string tree = Show(Guest(1), "");
        tree.ShouldNotContain("initrd");
        tree.ShouldNotContain("seed");
        byte[] seed = new byte[GuestDeviceTree.SeedBytes];
        seed[3] = 1;
        seed[7] = 2;
        seed[11] = 3;
        byte[] blob = new byte[8192];
        Guest(1).Write(blob, default, seed, out int length).ShouldBe(DeviceTreeError.None);
        FlatDeviceTree.Open(blob.AsSpan(0, length), out FlatDeviceTree seeded).ShouldBe(DeviceTreeError.None);
        string shown = Decompiler.Show(ref seeded);
        shown.ShouldContain("kaslr-seed = <0x1 0x2>");
        shown.ShouldContain("rng-seed = <0x3 0x0");
    }

    [Fact]
    public void The_machine_description_understands_a_guests_tree_but_for_what_a_guest_has_not()
    {
        byte[] blob = new byte[4096];
        Guest(8).Write(blob, new byte[1024], default, out int length).ShouldBe(DeviceTreeError.None);
        MachineDescription machine = default;
        MachineDescription.Read(blob.AsSpan(0, length), ref machine, out _)
            .ShouldBe(MachineError.NoMaintenanceInterrupt);
        machine.CpuCount.ShouldBe(8);
        machine.MemoryBankAt(0).Size.ShouldBe(1UL << 30);
        machine.PsciConduit.ShouldBe(PsciConduit.Hvc);
        machine.UartInterrupt.ShouldBe(GuestMemoryMap.UartInterrupt);
        machine.Uart.Start.ShouldBe(GuestMemoryMap.UartStart);
        machine.Distributor.Start.ShouldBe(GuestMemoryMap.DistributorStart);
        machine.RedistributorRegionAt(0).Start.ShouldBe(GuestMemoryMap.RedistributorStart);
        machine.RedistributorRegionAt(0).Size.ShouldBe(8 * GuestMemoryMap.RedistributorSize);
    }

    [Fact]
    public void Virtio_devices_are_named_where_there_are_any()
    {
        Show(Guest(1), "").ShouldNotContain("virtio");
        GuestDeviceTree guest = Guest(1);
        guest.VirtioPlaces = 1 << (int)VirtioPlace.Rng;
        Show(guest, "").ShouldContain("""
              virtio_mmio@a000000 {
                compatible = "virtio,mmio"
                reg = <0x0 0xa000000 0x0 0x200>
                interrupts = <0x0 0x10 0x4>
                dma-coherent
              }
            """.ReplaceLineEndings("\n"));
        guest.VirtioPlaces |= 1 << (int)VirtioPlace.Disk;
        Show(guest, "").ShouldContain("""
              virtio_mmio@a000200 {
                compatible = "virtio,mmio"
                reg = <0x0 0xa000200 0x0 0x200>
                interrupts = <0x0 0x11 0x4>
                dma-coherent
              }
            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void A_tree_that_does_not_fit_is_an_error()
    {
        byte[] blob = new byte[4096];
        Guest(8).Write(blob, new byte[4096], default, out int length).ShouldBe(DeviceTreeError.NoRoom);
        length.ShouldBe(0);
        Guest(8).Write(default, default, default, out length).ShouldBe(DeviceTreeError.NoRoom);
    }

    private static GuestDeviceTree Guest(int vcpus) => new() { VcpuCount = vcpus, MemoryBytes = 1UL << 30 };

    private static string Show(GuestDeviceTree guest, string arguments)
    {
        byte[] blob = new byte[8192];
        guest.Write(blob, Encoding.ASCII.GetBytes(arguments), default, out int length).ShouldBe(DeviceTreeError.None);
        FlatDeviceTree.Open(blob.AsSpan(0, length), out FlatDeviceTree tree).ShouldBe(DeviceTreeError.None);
        return Decompiler.Show(ref tree);
    }
}
