using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Vms;

/// <summary>Which guest a VM gets.</summary>
internal enum GuestKind : byte
{
    /// <summary>guests/Filler, inside this image.</summary>
    Filler,

    /// <summary>
    /// The kernel and ramdisk that the boot loader handed over (QEMU: -initrd guests.cpio); any flat image will do.
    /// </summary>
    Linux,
}

/// <summary>
/// Puts a kernel, its ramdisk and its device tree into a VM's memory. A Linux kernel gets what "Booting AArch64 Linux"
/// asks for; any other kernel is a flat image, which finds everything where QEMU's virt machine puts it.
/// <code>
///  Linux                                             flat image
///  memory start + text_offset  kernel, with the      memory start + 512 KB   kernel
///                              room it asks for      + 128 MB, or half of the
///  next 2 MB boundary          device tree           memory if that is less  ramdisk, if any
///  next 2 MB boundary          ramdisk, if any       next 2 MB boundary      device tree
/// </code>
/// </summary>
internal static unsafe class GuestLoader
{
    private const ulong Alignment = 2UL << 20;
    private const int LongestArguments = 2048;

    // Where QEMU's virt machine puts a kernel without a header, and a ramdisk (hw/arm/boot.c: KERNEL64_LOAD_ADDR).
    private const ulong FlatImageOffset = 0x8_0000;
    private const ulong MostRamdiskOffset = 128UL << 20;

    private static ulong _bundle;
    private static int _bundleBytes;

    /// <summary>Whether there is a Linux kernel to boot.</summary>
    internal static bool HasLinux => CpioArchive.TryFind(Bundle, "linux/Image"u8, out _);

    /// <summary>
    /// What is wrong with the archive that the boot loader handed over; empty when nothing is, or there is none.
    /// </summary>
    internal static ReadOnlySpan<byte> BundleProblem =>
        _bundleBytes != 0 && !HasLinux
            ? "the boot loader's ramdisk is no cpio archive with linux/Image in it"u8
            : default;

    /// <summary>
    /// Bytes of the disk that a Linux guest gets: the archive's linux/disk, filled up with zeroes to whole pages; 0
    /// when there is none.
    /// </summary>
    internal static ulong DiskBytes => ((ulong)Disk.Length + 4095) & ~4095UL;

    /// <summary>Remembers the boot loader's ramdisk, which is mapped and reserved.</summary>
    internal static void UseBundle(AddressRange ramdisk)
    {
        _bundle = ramdisk.Start;
        _bundleBytes = (int)Math.Min(ramdisk.Size, int.MaxValue);
    }

    internal static bool TryFind(ReadOnlySpan<byte> name, out GuestKind kind)
    {
        kind = name.SequenceEqual("linux"u8) ? GuestKind.Linux : GuestKind.Filler;
        return kind == GuestKind.Linux || name.SequenceEqual("filler"u8);
    }

    /// <summary>Loads the VM's guest.</summary>
    /// <param name="vm">A VM with memory and no running vCPU.</param>
    /// <param name="arguments">Kernel command line.</param>
    /// <param name="entry">Where vCPU 0 begins.</param>
    /// <param name="deviceTree">What it finds in X0.</param>
    internal static VmError Load(Vm* vm, ReadOnlySpan<byte> arguments, out ulong entry, out ulong deviceTree)
    {
        entry = 0;
        deviceTree = 0;
        ReadOnlySpan<byte> kernel;
        ReadOnlySpan<byte> ramdisk = default;
        if (vm->Options.Guest == GuestKind.Linux)
        {
            CpioError kernelError = CpioArchive.Find(Bundle, "linux/Image"u8, out kernel);
            if (_bundleBytes == 0 || kernelError == CpioError.NotFound)
            {
                return VmError.NoLinux;
            }

            // A kernel may come without a ramdisk, but not with one that was cut off.
            CpioError ramdiskError = CpioArchive.Find(Bundle, "linux/initrd"u8, out ramdisk);
            if (kernelError != CpioError.None || ramdiskError is not (CpioError.None or CpioError.NotFound))
            {
                return VmError.BadBundle;
            }
        }
        else
        {
            kernel = Filler;
        }

        if (arguments.Length > LongestArguments)
        {
            return VmError.BadArguments;
        }

        VmError error = Place(
            kernel, (ulong)ramdisk.Length, vm->Options.MemoryBytes, out entry, out deviceTree, out ulong ramdiskStart);
        if (error != VmError.None)
        {
            return error;
        }

        bool written = GuestWriter.Write(vm, new Ipa(entry), kernel)
            && GuestWriter.Write(vm, new Ipa(ramdiskStart), ramdisk)
            && (vm->Options.DiskBytes == 0 || GuestWriter.Write(vm, new Ipa(GuestMemoryMap.DiskMemoryStart), Disk))
            && WriteDeviceTree(vm, arguments, deviceTree, ramdiskStart, (ulong)ramdisk.Length);
        GuestWriter.FinishCode();
        return written ? VmError.None : VmError.OutOfMemory;
    }

    /// <summary>Chooses the places; on success each piece lies in the VM's memory and none overlaps another.</summary>
    private static VmError Place(
        ReadOnlySpan<byte> kernel,
        ulong ramdiskBytes,
        ulong memoryBytes,
        out ulong entry,
        out ulong deviceTree,
        out ulong ramdiskStart)
    {
        ulong start = GuestMemoryMap.MemoryStart;
        ulong end = start + memoryBytes;
        entry = start + FlatImageOffset;
        ramdiskStart = start + Math.Min(memoryBytes / 2, MostRamdiskOffset);
        deviceTree = AlignUp(ramdiskStart + ramdiskBytes);
        if (kernel.IsEmpty)
        {
            return VmError.BadKernel;
        }

        LinuxImageError error = LinuxImage.Read(kernel, out LinuxImage image);
        if (error is LinuxImageError.NotAnImage or LinuxImageError.TooShort)
        {
            // What a flat image needs beyond its file it does not say.
            return (ulong)kernel.Length <= ramdiskStart - entry && deviceTree + Alignment <= end
                ? VmError.None
                : VmError.DoesNotFit;
        }

        if (error != LinuxImageError.None)
        {
            return VmError.BadKernel;
        }

        if (image.PageBytes != 0 && !SystemRegisters.Identity.HasGranule(image.PageBytes))
        {
            return VmError.NoGranule;
        }

        entry = start + image.TextOffset;
        ulong room = Math.Max(image.ImageSize, (ulong)kernel.Length);
        if (image.TextOffset > memoryBytes || room > memoryBytes - image.TextOffset)
        {
            return VmError.DoesNotFit;
        }

        deviceTree = AlignUp(entry + room);
        ramdiskStart = deviceTree + Alignment;
        return ramdiskStart > end || ramdiskBytes > end - ramdiskStart ? VmError.DoesNotFit : VmError.None;
    }

    private static bool WriteDeviceTree(
        Vm* vm, ReadOnlySpan<byte> arguments, ulong at, ulong ramdiskStart, ulong ramdiskBytes)
    {
        const int Room = 8192;
        Span<byte> blob = stackalloc byte[Room];
        GuestDeviceTree tree = default;
        tree.VcpuCount = vm->Options.VcpuCount;
        tree.MemoryBytes = vm->Options.MemoryBytes;
        tree.RamdiskStart = ramdiskStart;
        tree.RamdiskBytes = ramdiskBytes;
        Span<byte> seed = stackalloc byte[GuestDeviceTree.SeedBytes];
        bool isSeeded = VmRandom.TryFill(vm, seed);
        tree.HasGenerationId = isSeeded;
        tree.VirtioPlaces = VirtioDevices.Places(vm);
        return tree.Write(blob, arguments, isSeeded ? seed : default, out int length) == DeviceTreeError.None
            && GuestWriter.Write(vm, new Ipa(at), blob.Slice(0, length));
    }

    private static ulong AlignUp(ulong address) => (address + Alignment - 1) & ~(Alignment - 1);

    private static ReadOnlySpan<byte> Disk =>
        _bundleBytes != 0 && CpioArchive.TryFind(Bundle, "linux/disk"u8, out ReadOnlySpan<byte> disk) ? disk : default;

    // Invariant: the boot loader's ramdisk is identity-mapped RAM that the pool does not own.
    private static ReadOnlySpan<byte> Bundle => new((void*)_bundle, _bundleBytes);

    // Invariant: the linker put the filler's image between the two addresses.
    private static ReadOnlySpan<byte> Filler => new(
        (void*)Instructions.ImageAddress(ImageBoundary.Filler),
        (int)(Instructions.ImageAddress(ImageBoundary.FillerEnd) - Instructions.ImageAddress(ImageBoundary.Filler)));
}
