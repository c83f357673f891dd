using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// A process: its address space, and the VMs that it owns. Calls are those of Linux, reduced to what memory they move.
/// Before a page that a VM may see changes, the VM hears of it: begin, change, end.
/// </summary>
/// <remarks>
/// Addresses are multiples of 4 KB. A call that the process's own memory does not allow returns false.
/// </remarks>
public sealed partial class HostProcess
{
    private const ulong FirstAddress = 1UL << 40;

    private readonly SortedList<ulong, MemoryArea> _areas = [];
    private readonly List<HostedVm> _vms = [];
    private ProcessPages _pages = new();

    /// <summary>
    /// The area that was looked up last; areas are replaced only by <see cref="CutOut"/> and the end.
    /// </summary>
    private MemoryArea? _recentArea;
    private ulong _nextAddress = FirstAddress;

    internal HostProcess(Host host, int pe)
    {
        Host = host;
        Pe = pe;
    }

    /// <summary>The host that it runs on.</summary>
    public Host Host { get; }

    /// <summary>The PE that it runs on: what it does is on that PE's bill.</summary>
    public int Pe { get; }

    /// <summary>Whether it has not exited.</summary>
    public bool IsAlive { get; private set; } = true;

    /// <summary>Its VMs.</summary>
    public IReadOnlyList<HostedVm> Vms => _vms;

    private Meter Meter => Host.Server.MeterOf(Pe);

    /// <summary>Makes a VM without memory.</summary>
    public HostedVm CreateVm(
        MaintenancePolicy policy, int vcpus = 1, int ipaBits = SimulatedVm.DefaultIpaBits,
        bool guestMayHaveUncachedAlias = true)
    {
        return CreateVm(new SimulatedVm(Host.Server, policy, ipaBits, guestMayHaveUncachedAlias), vcpus);
    }

    /// <summary>Makes a VM whose memory hears of the host by a hook of its own: that of another architecture.</summary>
    public HostedVm CreateVm(IMemoryHook hook, int vcpus)
    {
        hook.Pe = Pe;
        var vm = new HostedVm(this, hook, vcpus);
        _vms.Add(vm);
        return vm;
    }

    /// <summary>Maps memory (mmap), aligned to 1 GB, so that it can be mapped by blocks.</summary>
    /// <param name="bytes">How much.</param>
    /// <param name="kind">What backs it.</param>
    /// <param name="pages">
    /// In what sizes; files and shared memory have 4 KB pages, and a file in memory no transparent ones (Linux's
    /// shmem_enabled is never unless set).
    /// </param>
    /// <param name="file">The file, or the shared memory, for those kinds; a new one when not given.</param>
    /// <param name="hugePageShare">How often a transparent huge page is found, 0 to 1.</param>
    /// <returns>Its address.</returns>
    public ulong Map(
        ulong bytes, AreaKind kind = AreaKind.Anonymous, AreaPages pages = AreaPages.Small, HostFile? file = null,
        double hugePageShare = 1)
    {
        Meter.Calls++;
        ulong start = TakeAddress(bytes);
        _areas.Add(start, new MemoryArea(start, start + bytes, kind, Small(kind, pages), true)
        {
            File = kind is AreaKind.File or AreaKind.SharedMemory ? file ?? new HostFile() : null,
            HugePageShare = hugePageShare,
        });
        return start;
    }

    /// <summary>Unmaps a range (munmap): its VMs hear UNMAP, then the pages go.</summary>
    public bool Unmap(ulong start, ulong bytes)
    {
        Meter.Calls++;
        return Change(start, bytes, NotifierEvent.Unmap, Departure, () => RemoveAreas(start, start + bytes));
    }

    /// <summary>Gives contents up and keeps the addresses (MADV_DONTNEED): its VMs hear CLEAR.</summary>
    public bool DontNeed(ulong start, ulong bytes)
    {
        Meter.Calls++;
        return Change(start, bytes, NotifierEvent.Clear, Departure, () => ReleasePages(start, start + bytes));
    }

    /// <summary>
    /// Punches a hole into a file in memory (FALLOC_FL_PUNCH_HOLE): its VMs hear CLEAR, as at MADV_DONTNEED, since
    /// Linux unmaps the range first (unmap_mapping_range); then the file drops its pages, which frees them.
    /// </summary>
    public bool Punch(ulong start, ulong bytes)
    {
        Meter.Calls++;
        return KindAt(start) == AreaKind.MemoryFile
            && Change(start, bytes, NotifierEvent.Clear, Departure, () => ReleasePages(start, start + bytes));
    }

    /// <summary>
    /// Moves a range with its contents (mremap). Its VMs hear UNMAP, as Linux 5.5 raises it, although nothing is freed.
    /// </summary>
    /// <param name="moved">The new address.</param>
    public bool Move(ulong start, ulong bytes, out ulong moved)
    {
        Meter.Calls++;
        ulong target = TakeAddress(bytes);
        moved = target;
        return Change(start, bytes, NotifierEvent.Unmap, static (_, _, _) => PageFate.KeptByRemap, () =>
        {
            foreach (MemoryArea area in CutOut(start, start + bytes))
            {
                ulong to = target + (area.Start - start);
                _areas.Add(to, area.Part(area.Start, area.End) with { Start = to, End = to + (area.End - area.Start) });
            }

            MovePages(start, start + bytes, target);
        });
    }

    /// <summary>Permits or forbids writes (mprotect): its VMs hear PROTECTION_VMA.</summary>
    public bool Protect(ulong start, ulong bytes, bool isWritable)
    {
        Meter.Calls++;
        return Change(start, bytes, NotifierEvent.ProtectionVma, static (_, _, _) => PageFate.StaysInPlace, () =>
        {
            foreach (MemoryArea area in CutOut(start, start + bytes))
            {
                _areas.Add(area.Start, area with { IsWritable = isWritable });
            }

            // What becomes writable is so at the next write: the page may be shared.
            UpdatePages(start, start + bytes, static page => page.WithoutWrite());
        });
    }

    /// <summary>
    /// A child with the same memory (fork): anonymous pages are shared until one of the two writes. The VMs stay the
    /// parent's, and hear PROTECTION_PAGE.
    /// </summary>
    public HostProcess Fork()
    {
        Meter.Calls++;
        HostProcess child = Host.Start(Pe);
        foreach (MemoryArea area in new List<MemoryArea>(_areas.Values))
        {
            _ = Change(
                area.Start, area.End - area.Start, NotifierEvent.ProtectionPage,
                static (_, _, _) => PageFate.StaysInPlace, () => ShareWith(child, area));
        }

        child._nextAddress = _nextAddress;
        return child;
    }

    /// <summary>Moves a page to another frame, as compaction and NUMA balancing do: its VMs hear CLEAR.</summary>
    public bool Migrate(ulong address)
    {
        HostPage page = _pages[address];
        if (!page.IsPresent || KindAt(address) != AreaKind.Anonymous || Host.Frames.IsShared(FrameOf(address, page)))
        {
            return false;
        }

        ulong bytes = HostFrames.BytesOf(page.Level);
        ulong start = address & ~(bytes - 1);
        return page.Level != 1 && Change(
            start, bytes, NotifierEvent.Clear, static (_, _, _) => PageFate.CopiedToNewFrame, () =>
        {
            ulong target = NewPage(page.Level, isZeroed: false);
            Host.Server.Lines.Write(target, bytes);
            Set(start, new HostPage(target, page.Level, page.IsWritable));
            _ = Release(page.Address, page.Level);
        });
    }

    /// <summary>
    /// Writes an anonymous 4 KB page out, through a device that does not snoop, and frees it: its VMs hear CLEAR.
    /// </summary>
    public bool SwapOut(ulong address)
    {
        HostPage page = _pages[address];
        return page.IsPresent && page.Level == 3 && KindAt(address) == AreaKind.Anonymous
            && !Host.Frames.IsShared(page.Address)
            && Change(
                address, ProcessPages.PageBytes, NotifierEvent.Clear,
                static (_, _, _) => PageFate.SwappedToNonSnoopingDevice, () =>
            {
                _pages.SetSmall(address, HostPage.Swapped);
                _ = Release(page.Address, 3);
            });
    }

    /// <summary>The process itself accesses an address. False: it dies of that in Linux (SIGSEGV).</summary>
    public bool Access(ulong address, bool isWrite)
    {
        if (!TryResolve(address, isWrite, out HostPage page))
        {
            return false;
        }

        if (isWrite)
        {
            Host.Server.Lines.Write(FrameOf(address, page), ProcessPages.PageBytes);
        }

        return true;
    }

    /// <summary>The physical address of what the process sees at an address, or 0: nothing is there now.</summary>
    public Pa Translate(ulong address, out bool isWritable)
    {
        HostPage page = _pages[address];
        isWritable = page.IsWritable;
        return new Pa(page.IsPresent ? FrameOf(address, page) : 0);
    }

    /// <summary>
    /// Exits in order: vCPUs have left their guests, VMs hear the release callback, then the pages go.
    /// </summary>
    public void Exit()
    {
        if (!IsAlive)
        {
            return;
        }

        Meter.Calls++;
        Meter.ProcessEnds++;
        foreach (HostedVm vm in _vms)
        {
            if (vm.Hook.Exists)
            {
                Meter.VmEnds++;
                ReleaseVm(vm);
            }
        }

        foreach (MemoryArea area in _areas.Values)
        {
            ReleasePages(area.Start, area.End);
        }

        _areas.Clear();
        _recentArea = null;
        _pages = new ProcessPages();
        IsAlive = false;
        Host.Remove(this);
    }

    /// <summary>SIGKILL: running vCPUs are interrupted first, then as <see cref="Exit"/>.</summary>
    public void Kill()
    {
        foreach (HostedVm vm in _vms)
        {
            Meter.Ipis += vm.Hook.Exists ? vm.Vcpus : 0;
        }

        Exit();
    }

    internal AreaKind? KindAt(ulong address) => AreaAt(address)?.Kind;

    private static AreaPages Small(AreaKind kind, AreaPages pages) => kind switch
    {
        AreaKind.Anonymous => pages,
        AreaKind.MemoryFile when pages != AreaPages.Transparent => pages,
        _ => AreaPages.Small,
    };

    private ulong TakeAddress(ulong bytes)
    {
        const ulong gigabyte = 1UL << 30;
        ulong start = _nextAddress;
        _nextAddress += ((bytes + gigabyte - 1) & ~(gigabyte - 1)) + gigabyte;
        return start;
    }
}
