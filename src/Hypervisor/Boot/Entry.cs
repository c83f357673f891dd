using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Boot;

/// <summary>Where C# begins on each core: from the boot loader's device tree to the monitor.</summary>
internal static unsafe class Entry
{
    private const ulong GigabyteMask = (1UL << 30) - 1;

    /// <summary>The boot core. Only the image's gigabyte and the device tree's are mapped yet.</summary>
    [RuntimeExport("quietus_boot")]
    private static void Boot(ulong deviceTree, ulong imageStart)
    {
        MachineError error = ReadDeviceTree(deviceTree, out ReadOnlySpan<byte> blob, out DeviceTreeError treeError);
        LastWords.Prepare(blob);
        if (error != MachineError.None)
        {
            LastWords.Say(
                MachineErrors.Describe(error),
                treeError == DeviceTreeError.None ? default : DeviceTreeErrors.Describe(treeError));
        }

        Require(
            Platform.Description.PsciConduit == PsciConduit.Smc,
            "the firmware is called by HVC: another hypervisor is below this one"u8);
        CpuFeatures.Detect();

        Span<AddressRange> taken = stackalloc AddressRange[MachineDescription.MaximumReservedRegions + 5];
        int count = CollectTaken(taken, deviceTree, blob.Length, imageStart);
        ulong needed = OwnMemory();
        Require(
            TryFindRoom(taken.Slice(0, count), imageStart & ~GigabyteMask, needed, out ulong room),
            "there is no room for it in the gigabyte that it was loaded to"u8);
        taken[count] = new AddressRange { Start = room, Size = needed };
        count++;
        Platform.Memory = new BootMemory(room, needed);
        Require(
            Platform.MapEverything(taken.Slice(0, count), room, needed),
            "its memory and devices cannot be mapped"u8);
        Instructions.WriteTranslationTable(Platform.Tables.Root);
        MachineConsole.Initialize(new PhysicalUart(Platform.Description.Uart.Start), SerialPort.Find(blob));
        GuestNetwork.Initialize(blob);
        Require(Platform.Gic.Initialize(Platform.Description.Distributor.Start), "the distributor is no GICv3"u8);
        Require(Platform.AddBootCore(), "the boot core has no redistributor"u8);
        Require(Platform.InitializePool(taken.Slice(0, count)), "the frame pool could not be set up"u8);
        MachineRandom.Initialize(blob);
        Require(Platform.InitializeVmids(), "the VMID allocator could not be set up"u8);
        Require(VmTable.Initialize(), "there is no memory for VM slots"u8);
        CoreSetup.Initialize(Core.Current);
        Require(Dispatcher.Initialize(), "there is no memory for the run queues"u8);
        Stopwatch.Rehearse();
        TimerSums.Detect();
        StartOtherCores();
        Require(
            Platform.Description.VirtualTimerInterrupt == GuestMemoryMap.VirtualTimerInterrupt
                && Platform.Description.PhysicalTimerInterrupt == GuestMemoryMap.PhysicalTimerInterrupt,
            "the EL1 timers' interrupts are not PPI 27 and PPI 30, which guests are told"u8);
        GuestLoader.UseBundle(Platform.Description.Initrd);
        Require(GuestStreams.Initialize(), "there is no memory for streams"u8);
        SystemRegisters.Initialize(VmTable.Geometry.IpaBits);
        MonitorLoop.Run();
    }

    /// <summary>A core that <see cref="StartOtherCores"/> started (Boot/Start.S).</summary>
    [RuntimeExport("quietus_secondary")]
    private static void Secondary(Core* core)
    {
        Instructions.WriteTranslationTable(core->TranslationTable);
        CoreSetup.Initialize(core);
        CoreLoop.Run(core);
    }

    /// <summary>Reads the boot loader's tree into <see cref="Platform.Description"/>.</summary>
    internal static MachineError ReadDeviceTree(
        ulong address, out ReadOnlySpan<byte> blob, out DeviceTreeError treeError)
    {
        blob = default;
        treeError = DeviceTreeError.BadLayout;
        if (address == 0 || (address & 7) != 0)
        {
            return MachineError.BadDeviceTree;
        }

        // Invariant: the boot protocol gives the tree's physical address; its gigabyte is mapped, and the size that the
        // header states is checked against a limit far below that.
        ReadOnlySpan<byte> header = new((void*)address, FlatDeviceTree.HeaderLength);
        treeError = FlatDeviceTree.ReadTotalSize(header, out int size);
        if (treeError != DeviceTreeError.None)
        {
            return MachineError.BadDeviceTree;
        }

        blob = new ReadOnlySpan<byte>((void*)address, size);
        return MachineDescription.Read(blob, ref Platform.Description, out treeError);
    }

    /// <summary>What no VM may get: see <see cref="Platform.InitializePool"/>.</summary>
    private static int CollectTaken(Span<AddressRange> taken, ulong deviceTree, int treeBytes, ulong imageStart)
    {
        ref MachineDescription machine = ref Platform.Description;
        int count = 0;
        ulong imageEnd = Instructions.ImageAddress(ImageBoundary.End);
        taken[count++] = new AddressRange { Start = imageStart, Size = imageEnd - imageStart };
        taken[count++] = new AddressRange { Start = deviceTree, Size = (ulong)treeBytes };
        if (machine.Initrd.Size != 0)
        {
            taken[count++] = machine.Initrd;
        }

        // Where RAM begins at 0 its first chunk is left alone: that address means "none" to many who take memory.
        if (IsMemory(0))
        {
            taken[count++] = new AddressRange { Start = 0, Size = FramePool.ChunkBytes };
        }

        for (int i = 0; i < machine.ReservedRegionCount; i++)
        {
            taken[count++] = machine.ReservedRegionAt(i);
        }

        return count;
    }

    private static bool IsMemory(ulong address)
    {
        for (int i = 0; i < Platform.Description.MemoryBankCount; i++)
        {
            AddressRange bank = Platform.Description.MemoryBankAt(i);
            if (address >= bank.Start && address < bank.End)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Bytes that the hypervisor wants for itself on this machine, in whole chunks.</summary>
    private static ulong OwnMemory()
    {
        ulong chunks = 0;
        for (int i = 0; i < Platform.Description.MemoryBankCount; i++)
        {
            chunks += Platform.Description.MemoryBankAt(i).Size >> FramePool.ChunkShift;
        }

        const ulong TablesAndVmids = 512 * 1024;
        const ulong PerCore = 68 * 1024;
        ulong bytes = TablesAndVmids
            + FramePool.MetadataBytes(chunks)
            + ((ulong)Platform.Description.CpuCount * PerCore)
            + SerialPort.MemoryBytes + NetworkPort.MemoryBytes
            + VmTable.Bytes + GuestStreams.Bytes;
        return (bytes + FramePool.ChunkBytes - 1) & ~(FramePool.ChunkBytes - 1);
    }

    /// <summary>The lowest chunk-aligned place in the mapped gigabyte's RAM that is still free.</summary>
    private static bool TryFindRoom(ReadOnlySpan<AddressRange> taken, ulong gigabyte, ulong bytes, out ulong room)
    {
        ref MachineDescription machine = ref Platform.Description;
        for (int i = 0; i < machine.MemoryBankCount; i++)
        {
            AddressRange bank = machine.MemoryBankAt(i);
            ulong start = Math.Max(bank.Start, gigabyte);
            ulong end = Math.Min(bank.End, gigabyte + GigabyteMask + 1);
            ulong at = (start + FramePool.ChunkBytes - 1) & ~(FramePool.ChunkBytes - 1);
            while (at < end && bytes <= end - at)
            {
                if (!TryFindOverlap(taken, at, bytes, out ulong next))
                {
                    room = at;
                    return true;
                }

                at = (next + FramePool.ChunkBytes - 1) & ~(FramePool.ChunkBytes - 1);
            }
        }

        room = 0;
        return false;
    }

    private static bool TryFindOverlap(ReadOnlySpan<AddressRange> taken, ulong start, ulong bytes, out ulong end)
    {
        foreach (AddressRange range in taken)
        {
            if (range.Start < start + bytes && start < range.End)
            {
                end = range.End;
                return true;
            }
        }

        end = 0;
        return false;
    }

    private static void StartOtherCores()
    {
        ref MachineDescription machine = ref Platform.Description;
        ulong self = Core.Current->Affinity;
        for (int i = 0; i < machine.CpuCount; i++)
        {
            ulong affinity = machine.CpuAffinityAt(i);
            if (affinity != self && !StartCore(affinity))
            {
                ReportMissing(affinity);
            }
        }
    }

    private static void ReportMissing(ulong affinity)
    {
        Span<byte> buffer = stackalloc byte[96];
        LineBuilder line = new(buffer);
        line.Text("quietus: core "u8);
        line.Hexadecimal(affinity);
        line.Text(" did not start; going on without it"u8);
        MachineConsole.Log(line.Written);
    }

    private static bool StartCore(ulong affinity)
    {
        Core* core = Platform.MakeCore(affinity);
        if (core == null)
        {
            return false;
        }

        // The core reads its record with its caches off.
        Instructions.CleanLines(
            (ulong)core, CpuFeatures.DataLines((ulong)sizeof(Core)), CpuFeatures.DataLineBytes);
        Instructions.DataSynchronizationSy();
        if (Firmware.TurnOn(affinity, Instructions.ImageAddress(ImageBoundary.SecondaryEntry), (ulong)core) != 0)
        {
            return false;
        }

        ulong patience = Instructions.ReadCounter() + Instructions.ReadCounterFrequency();
        while (!core->IsOnline)
        {
            if (Instructions.ReadCounter() > patience)
            {
                return false;
            }
        }

        return true;
    }

    private static void Require(bool condition, ReadOnlySpan<byte> otherwise)
    {
        if (!condition)
        {
            LastWords.Say(otherwise, default);
        }
    }
}
