using System;
using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Simulator;

// Areas and the pages in them: how a fault finds a page, and how pages go.
public sealed partial class HostProcess
{
    /// <summary>The host's own fault: gives the page that an access needs, as the process may have it.</summary>
    internal bool TryResolve(ulong address, bool isWrite, out HostPage page)
    {
        page = _pages[address];
        if (page.IsPresent && (page.IsWritable || !isWrite))
        {
            return true;
        }

        MemoryArea? area = AreaAt(address);
        if (!IsAlive || area == null || (isWrite && !area.IsWritable))
        {
            return false;
        }

        if (page.IsPresent)
        {
            page = CopyOnWrite(area, address, page);
            return true;
        }

        page = area.HasPageCache ? BringFilePage(area, address) : BringOwn(area, address, page);
        return true;
    }

    private MemoryArea? AreaAt(ulong address)
    {
        if (_recentArea is { } recent && address >= recent.Start && address < recent.End)
        {
            return recent;
        }

        int low = 0;
        for (int high = _areas.Count - 1; low <= high;)
        {
            int middle = (low + high) / 2;
            MemoryArea area = _areas.Values[middle];
            if (address >= area.End)
            {
                low = middle + 1;
            }
            else if (address < area.Start)
            {
                high = middle - 1;
            }
            else
            {
                return _recentArea = area;
            }
        }

        return null;
    }

    /// <summary>Whether all of a range is mapped, and no page of hugetlbfs is cut by its edges.</summary>
    private bool IsMapped(ulong start, ulong end)
    {
        for (ulong at = start; at < end;)
        {
            MemoryArea? area = AreaAt(at);
            ulong mask = area?.Pages switch
            {
                AreaPages.Huge1G => HostFrames.BytesOf(1) - 1,
                AreaPages.Huge2M => HostFrames.BytesOf(2) - 1,
                _ => 0,
            };
            if (area == null || ((at | Math.Min(end, area.End)) & mask) != 0)
            {
                return false;
            }

            at = area.End;
        }

        return true;
    }

    /// <summary>A page that goes with this mapping: anonymous, or of a file in memory.</summary>
    private HostPage BringOwn(MemoryArea area, ulong address, HostPage before)
    {
        int level = area.Pages switch
        {
            AreaPages.Huge1G => 1,
            AreaPages.Huge2M => 2,
            AreaPages.Transparent when FindsHugePage(area, address) => 2,
            _ => 3,
        };
        ulong bytes = HostFrames.BytesOf(level);
        ulong start = address & ~(bytes - 1);
        ulong frame = NewPage(level, isZeroed: !before.IsSwapped);
        var page = new HostPage(frame, level, area.IsWritable);
        if (area.Pages == AreaPages.Transparent && level == 2)
        {
            Meter.TransparentFilled++;
            page = page.AsTransparent();
        }
        else if (area.Kind == AreaKind.MemoryFile)
        {
            Meter.FileFilled += level == 3 ? 1 : 0;
            page = page.AsOfFile();
        }

        Set(start, page);
        return level == 3 ? page : _pages[address];
    }

    private bool FindsHugePage(MemoryArea area, ulong address)
    {
        ulong start = address & ~(ProcessPages.BlockBytes - 1);
        if (start < area.Start || start + ProcessPages.BlockBytes > area.End || !_pages.IsBlockEmpty(start))
        {
            return false;
        }

        // Which blocks find one depends on nothing but the seed, so the order of the faults does not matter.
        ulong hash = ((start >> ProcessPages.BlockShift) + (ulong)(uint)Host.Seed) * 0x9E3779B97F4A7C15;
        hash ^= hash >> 29;
        hash *= 0xBF58476D1CE4E5B9;
        return (hash >> 11) * (1.0 / (1UL << 53)) < area.HugePageShare;
    }

    private HostPage BringFilePage(MemoryArea area, ulong address)
    {
        ulong number = area.FilePageOf(address);
        if (!area.File!.Cache.TryGetValue(number, out ulong frame))
        {
            frame = NewPage(3, isZeroed: true);
            area.File.Cache.Add(number, frame);
        }

        // The page cache is one owner, each mapping another.
        Host.Frames.Share(frame);
        var page = new HostPage(frame, 3, area.IsWritable);
        _pages.SetSmall(address, page);
        return page;
    }

    /// <summary>A write to a page that is not writable now, in an area that is.</summary>
    private HostPage CopyOnWrite(MemoryArea area, ulong address, HostPage page)
    {
        ulong bytes = HostFrames.BytesOf(page.Level);
        ulong start = address & ~(bytes - 1);
        ulong frame = HeadOf(start, page);
        if (area.Kind != AreaKind.Anonymous || !Host.Frames.IsShared(frame))
        {
            Set(start, new HostPage(frame, page.Level, true));
            return _pages[address];
        }

        _ = Change(start, bytes, Memory.NotifierEvent.Clear, Departure, () =>
        {
            ulong copy = NewPage(page.Level, isZeroed: false);
            Host.Server.Lines.Write(copy, bytes);
            Set(start, new HostPage(copy, page.Level, true));
            _ = Release(frame, page.Level);
        });
        return _pages[address];
    }

    private ulong NewPage(int level, bool isZeroed)
    {
        ulong frame = Host.Allocate(level, Meter.Socket);
        if (isZeroed)
        {
            ulong bytes = HostFrames.BytesOf(level);
            Meter.PagesZeroed += (long)(bytes / ProcessPages.PageBytes);
            Host.Server.Lines.Write(frame, bytes);
        }

        Host.Server.Listener?.TookPage(this, new Pa(frame), HostFrames.BytesOf(level), isZeroed);
        return frame;
    }

    /// <summary>Enters a page of any size into the page table.</summary>
    private void Set(ulong start, HostPage page)
    {
        if (page.Level == 3)
        {
            _pages.SetSmall(start, page);
            return;
        }

        for (ulong part = 0; part < HostFrames.BytesOf(page.Level); part += ProcessPages.BlockBytes)
        {
            _pages.SetHuge(start + part, new HostPage(page.Bits + part));
        }
    }

    /// <summary>The 4 KB frame behind an address of a page.</summary>
    internal static ulong FrameOf(ulong address, HostPage page)
    {
        ulong within = page.Level == 3 ? ProcessPages.PageBytes - 1 : ProcessPages.BlockBytes - 1;
        return page.Address + (address & within & ~(ProcessPages.PageBytes - 1));
    }

    /// <summary>The first frame of the page that an address lies in: the page's own name.</summary>
    private static ulong HeadOf(ulong address, HostPage page) =>
        FrameOf(address, page) & ~(HostFrames.BytesOf(page.Level) - 1);

    /// <summary>Gives one owner's claim up; whether that freed the page.</summary>
    private bool Release(ulong frame, int level)
    {
        if (!Host.Frames.Release(frame, level))
        {
            return false;
        }

        Host.Server.Listener?.FreedPage(new Pa(frame), HostFrames.BytesOf(level));
        if (level == 3)
        {
            Meter.PagesFreed++;
        }
        else
        {
            Meter.BlocksFreed++;
        }

        return true;
    }

    /// <summary>Gives the pages of a range up; huge pages that reach beyond it are cut first.</summary>
    private void ReleasePages(ulong start, ulong end)
    {
        for (ulong at = start; at < end;)
        {
            ulong block = at & ~(ProcessPages.BlockBytes - 1);
            ulong stop = Math.Min(end, block + ProcessPages.BlockBytes);
            ProcessPages.Block? found = _pages.Find(at);
            if (found != null)
            {
                ReleaseIn(found, at, stop);
                if (stop - at == ProcessPages.BlockBytes)
                {
                    _pages.Remove(at);
                }
            }

            at = stop;
        }
    }

    private void ReleaseIn(ProcessPages.Block block, ulong start, ulong end)
    {
        HostPage huge = block.Huge;
        if (!block.IsSmall && end - start == ProcessPages.BlockBytes)
        {
            // Of a 1 GB page the first part stands for all.
            if (huge.IsPresent && (huge.Level == 2 || (huge.Address & (HostFrames.BytesOf(1) - 1)) == 0))
            {
                bool isFreed = Release(huge.Address, huge.Level);
                Meter.TransparentFreed += isFreed && huge.IsTransparent ? 1 : 0;
                Meter.FileBlocksFreed += isFreed && huge.IsOfFile ? 1 : 0;
            }

            block.Huge = default;
            return;
        }

        if (!block.IsSmall)
        {
            _pages.Cut(block);
        }

        for (ulong at = start; at < end; at += ProcessPages.PageBytes)
        {
            ref HostPage page = ref block[ProcessPages.IndexOf(at)];
            if (page.IsPresent)
            {
                bool isFreed = Release(page.Address, 3);
                Meter.FileFreed += isFreed && page.IsOfFile ? 1 : 0;
            }

            page = default;
        }
    }

    private void UpdatePages(ulong start, ulong end, Func<HostPage, HostPage> update)
    {
        for (ulong at = start; at < end; at += ProcessPages.PageBytes)
        {
            ProcessPages.Block? block = _pages.Find(at);
            if (block == null)
            {
                at |= ProcessPages.BlockBytes - ProcessPages.PageBytes;
            }
            else if (!block.IsSmall && (at & (ProcessPages.BlockBytes - 1)) == 0
                && end - at >= ProcessPages.BlockBytes)
            {
                block.Huge = update(block.Huge);
                at |= ProcessPages.BlockBytes - ProcessPages.PageBytes;
            }
            else
            {
                if (!block.IsSmall)
                {
                    _pages.Cut(block);
                }

                ref HostPage page = ref block[ProcessPages.IndexOf(at)];
                page = update(page);
            }
        }
    }

    private void MovePages(ulong start, ulong end, ulong target)
    {
        for (ulong at = start; at < end;)
        {
            ProcessPages.Block? block = _pages.Find(at);
            ulong to = target + (at - start);
            bool isWhole = ((at | to) & (ProcessPages.BlockBytes - 1)) == 0 && end - at >= ProcessPages.BlockBytes;
            if (block is { IsSmall: false } && isWhole)
            {
                _pages.Remove(at);
                _pages.SetHuge(to, block.Huge);
                at += ProcessPages.BlockBytes;
                continue;
            }

            if (block is { IsSmall: false })
            {
                _pages.Cut(block);
            }

            HostPage page = _pages[at];
            if (page.Bits != 0)
            {
                _pages.SetSmall(at, default);
                _pages.SetSmall(to, page);
            }

            at += ProcessPages.PageBytes;
        }
    }

    /// <summary>Takes areas out of a range, cut at its edges.</summary>
    private List<MemoryArea> CutOut(ulong start, ulong end)
    {
        _recentArea = null;
        List<MemoryArea> inside = [];
        foreach (MemoryArea area in new List<MemoryArea>(_areas.Values))
        {
            ulong from = Math.Max(start, area.Start);
            ulong to = Math.Min(end, area.End);
            if (from >= to)
            {
                continue;
            }

            _areas.Remove(area.Start);
            if (area.Start < from)
            {
                _areas.Add(area.Start, area.Part(area.Start, from));
            }

            if (to < area.End)
            {
                _areas.Add(to, area.Part(to, area.End));
            }

            inside.Add(area.Part(from, to));
        }

        return inside;
    }

    private void RemoveAreas(ulong start, ulong end)
    {
        _ = CutOut(start, end);
        ReleasePages(start, end);
    }

    /// <summary>Fork of one area: anonymous pages get one more owner and lose the right to be written.</summary>
    private void ShareWith(HostProcess child, MemoryArea area)
    {
        if (area.Kind == AreaKind.MemoryFile)
        {
            // Monitors keep guest memory from their children (MADV_DONTFORK).
            return;
        }

        child._areas.Add(area.Start, area);
        if (area.Kind != AreaKind.Anonymous)
        {
            return;
        }

        UpdatePages(area.Start, area.End, static page => page.WithoutWrite());
        CutTransparent(area);
        for (ulong at = area.Start; at < area.End;)
        {
            HostPage page = _pages[at];
            if (page.Bits == 0)
            {
                at += ProcessPages.PageBytes;
                continue;
            }

            ulong bytes = page.IsPresent ? HostFrames.BytesOf(page.Level) : ProcessPages.PageBytes;
            if (page.IsPresent)
            {
                ulong head = HeadOf(at, page);
                Host.Frames.Share(head);
                child.Set(at, new HostPage(head, page.Level, false));
            }
            else
            {
                child._pages.SetSmall(at, page);
            }

            at = (at & ~(bytes - 1)) + bytes;
        }
    }

    /// <summary>
    /// Shared pages are counted by 4 KB, so transparent huge pages are cut at a fork; Linux keeps them. Pages of
    /// hugetlbfs are never cut, and counted whole.
    /// </summary>
    private void CutTransparent(MemoryArea area)
    {
        for (ulong at = area.Start; at < area.End && area.Pages == AreaPages.Transparent; at += ProcessPages.BlockBytes)
        {
            if (_pages.Find(at) is { IsSmall: false } block)
            {
                _pages.Cut(block);
            }
        }
    }
}
