using System;
using System.Runtime;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;

namespace Quietus.Hypervisor.Boot;

/// <summary>
/// Started at EL1: runs just far enough to say so, with the boot tables (Boot/Start.S) and one more entry.
/// </summary>
internal static unsafe class WrongLevel
{
    private const ulong BootTables = 3 * 4096;
    private const ulong GigabyteMask = (1UL << 30) - 1;
    private const ulong DeviceBlock = 0x405; // valid block, AttrIndx 1 (Device-nGnRE), AF

    [RuntimeExport("quietus_wrong_level")]
    private static void Complain(ulong deviceTree)
    {
        _ = Entry.ReadDeviceTree(deviceTree, out _, out _);
        ulong uart = Platform.Description.Uart.Start;
        ulong image = Instructions.ImageAddress(ImageBoundary.Start);
        if (Platform.Description.Uart.Size == 0 || uart >> 39 != image >> 39)
        {
            return;
        }

        // Invariant: Start.S put the level-0 table here and filled the entry of the image, whose level-1 table it
        // points at.
        ulong* root = (ulong*)(Instructions.ImageAddress(ImageBoundary.BootStackBottom) - BootTables);
        ulong* table = (ulong*)(root[image >> 39] & ~0xFFFUL);
        table[(uart >> 30) & 511] = (uart & ~GigabyteMask) | DeviceBlock;
        Instructions.DataSynchronizationIshSt();
        Instructions.InstructionSynchronization();
        MachineConsole.Initialize(new PhysicalUart(uart));
        MachineConsole.Panic(
            "quietus: started at EL1, but a hypervisor needs EL2 (QEMU: -M virt,virtualization=on,gic-version=3)"u8);
    }
}
