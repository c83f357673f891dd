using System;
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

    /// <summary>The kernel and ramdisk that the boot loader handed over (QEMU: -initrd guests.cpio).</summary>
    Linux,
}

/// <summary>
/// Puts a kernel, its ramdisk and its device tree into a VM's memory, as "Booting AArch64 Linux" asks:
/// <code>
///  memory start + text_offset   kernel image, with the room that its header asks for
///  next 2 MB boundary           device tree
///  next 2 MB boundary           ramdisk, if there is one
/// </code>
/// </summary>
internal static unsafe class GuestLoader
{
    private const ulong Alignment = 2UL << 20;
    private const int LongestArguments = 2048;

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

        if (LinuxImage.Read(kernel, out LinuxImage image) != LinuxImageError.None)
        {
            return VmError.BadKernel;
        }

        if (arguments.Length > LongestArguments)
        {
            return VmError.BadArguments;
        }

        ulong start = GuestMemoryMap.MemoryStart;
        ulong end = start + vm->Options.MemoryBytes;
        entry = start + image.TextOffset;
        ulong room = Math.Max(image.ImageSize, (ulong)kernel.Length);
        if (image.TextOffset > vm->Options.MemoryBytes || room > vm->Options.MemoryBytes - image.TextOffset)
        {
            return VmError.DoesNotFit;
        }

        deviceTree = AlignUp(entry + room);
        ulong ramdiskStart = deviceTree + Alignment;
        if (ramdiskStart > end || (ulong)ramdisk.Length > end - ramdiskStart)
        {
            return VmError.DoesNotFit;
        }

        bool written = GuestWriter.Write(vm, new Ipa(entry), kernel)
            && GuestWriter.Write(vm, new Ipa(ramdiskStart), ramdisk)
            && WriteDeviceTree(vm, arguments, deviceTree, ramdiskStart, (ulong)ramdisk.Length);
        GuestWriter.FinishCode();
        return written ? VmError.None : VmError.OutOfMemory;
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
        return tree.Write(blob, arguments, out int length) == DeviceTreeError.None
            && GuestWriter.Write(vm, new Ipa(at), blob.Slice(0, length));
    }

    private static ulong AlignUp(ulong address) => (address + Alignment - 1) & ~(Alignment - 1);

    // Invariant: the boot loader's ramdisk is identity-mapped RAM that the pool does not own.
    private static ReadOnlySpan<byte> Bundle => new((void*)_bundle, _bundleBytes);

    // Invariant: the linker put the filler's image between the two addresses.
    private static ReadOnlySpan<byte> Filler => new(
        (void*)Instructions.ImageAddress(ImageBoundary.Filler),
        (int)(Instructions.ImageAddress(ImageBoundary.FillerEnd) - Instructions.ImageAddress(ImageBoundary.Filler)));
}
