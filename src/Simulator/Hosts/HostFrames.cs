using System;
using System.Collections.Generic;

namespace Quietus.Simulator;

/// <summary>
/// The host's physical memory: pages of 4 KB, 2 MB and 1 GB of each socket, and who shares one. Freed pages are handed
/// out again in their own size only: there is no compaction.
/// </summary>
internal sealed class HostFrames
{
    /// <summary>Levels of leaves: 3 pages, 2 and 1 blocks.</summary>
    private const int PageLevel = 3;

    private readonly Zone[] _zones;
    private readonly Dictionary<ulong, int> _owners = [];

    internal HostFrames(MachinePreset preset)
    {
        ulong share = preset.MemoryBytes / (ulong)preset.Sockets;
        _zones = new Zone[preset.Sockets];
        for (int socket = 0; socket < _zones.Length; socket++)
        {
            // Nothing at address 0, so that it can mean no page.
            ulong start = socket == 0 ? BytesOf(2) : share * (ulong)socket;
            _zones[socket] = new Zone(start, share * (ulong)(socket + 1));
        }
    }

    /// <summary>Whether any page has more than one owner.</summary>
    internal bool AnyShared => _owners.Count != 0;

    internal static ulong BytesOf(int level) => 1UL << (12 + ((PageLevel - level) * 9));

    /// <summary>A page of the preferred socket, or of the next one that has room.</summary>
    /// <exception cref="SimulationException">There is none.</exception>
    internal ulong Allocate(int level, int socket)
    {
        for (int i = 0; i < _zones.Length; i++)
        {
            if (_zones[(socket + i) % _zones.Length].TryTake(level, out ulong page))
            {
                return page;
            }
        }

        throw new SimulationException(
            $"the host has no page of {BytesOf(level)} bytes left",
            "Take less memory for the VM, or give the machine more: --set memory=…");
    }

    /// <summary>One more owner.</summary>
    internal void Share(ulong page) => _owners[page] = _owners.GetValueOrDefault(page, 1) + 1;

    internal bool IsShared(ulong page) => _owners.Count != 0 && _owners.ContainsKey(page);

    /// <summary>One owner less. True when it was the last: the page is free then.</summary>
    internal bool Release(ulong page, int level)
    {
        if (_owners.Count != 0 && _owners.TryGetValue(page, out int owners))
        {
            if (owners == 2)
            {
                _owners.Remove(page);
            }
            else
            {
                _owners[page] = owners - 1;
            }

            return false;
        }

        foreach (Zone zone in _zones)
        {
            if (page < zone.End)
            {
                zone.Give(level, page);
                return true;
            }
        }

        throw new InvalidOperationException($"{page:x} is no page of this host.");
    }

    /// <summary>One socket's memory: what was never handed out, and runs of what came back, by size.</summary>
    private sealed class Zone(ulong start, ulong end)
    {
        private readonly List<(ulong Start, ulong Pages)>[] _free = [[], [], [], []];
        private ulong _untouched = start;

        internal ulong End => end;

        internal bool TryTake(int level, out ulong page)
        {
            ulong bytes = BytesOf(level);
            List<(ulong Start, ulong Pages)> free = _free[level];
            if (free.Count != 0)
            {
                (ulong first, ulong pages) = free[^1];
                page = first + ((pages - 1) * bytes);
                if (pages == 1)
                {
                    free.RemoveAt(free.Count - 1);
                }
                else
                {
                    free[^1] = (first, pages - 1);
                }

                return true;
            }

            page = (_untouched + bytes - 1) & ~(bytes - 1);
            if (page + bytes > end)
            {
                return false;
            }

            for (; _untouched < page; _untouched += BytesOf(PageLevel))
            {
                Give(PageLevel, _untouched);
            }

            _untouched = page + bytes;
            return true;
        }

        internal void Give(int level, ulong page)
        {
            List<(ulong Start, ulong Pages)> free = _free[level];
            if (free.Count != 0 && free[^1].Start + (free[^1].Pages * BytesOf(level)) == page)
            {
                free[^1] = (free[^1].Start, free[^1].Pages + 1);
                return;
            }

            free.Add((page, 1));
        }
    }
}
