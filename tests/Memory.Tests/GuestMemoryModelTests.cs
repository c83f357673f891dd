using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Quietus.Testing;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>
/// A VM's memory against a plain model under random programs: faults, unmaps, slots, dirty logs, notifiers, aging,
/// policy changes, deaths. The model knows for each guest page whether it is there and the last word written to it.
/// </summary>
public class GuestMemoryModelTests
{
    [Fact]
    public void Random_programs_with_4K_granules_agree_with_the_model() =>
        Programs.Check(100, 120, program => new Model<Arm<Granule4K>>(16, 36).Run(program));

    [Fact]
    public void Random_programs_with_16K_granules_agree_with_the_model() =>
        Programs.Check(40, 100, program => new Model<Arm<Granule16K>>(16, 40).Run(program));

    [Fact]
    public void Random_programs_with_64K_granules_agree_with_the_model() =>
        Programs.Check(40, 100, program => new Model<Arm<Granule64K>>(16, 40).Run(program));

    [Fact]
    public void Random_programs_with_a_format_that_no_machine_has_agree_with_the_model() =>
        Programs.Check(40, 100, program => new Model<AlienFormat>(16, 36).Run(program));

    [Fact]
    public void Random_programs_short_of_memory_agree_with_the_model() =>
        Programs.Check(70, 120, program => new Model<Arm<Granule4K>>(3, 36).Run(program));

    private sealed class Slot
    {
        internal required int Number { get; init; }

        internal required ulong Start { get; init; }

        internal required ulong End { get; init; }

        internal required bool IsHost { get; init; }

        internal HashSet<ulong>? Dirty { get; set; }
    }

    private sealed class Model<TFormat>
        where TFormat : struct, IDescriptorFormat
    {
        private const ulong Mb = 1UL << 20;
        private const ulong Window = 16 * Mb;
        private const ulong HostFrames = 0x9_0000_0000;

        private static readonly ulong s_granule = Vm<TFormat>.Granule;
        private static readonly ulong s_start = Vm<TFormat>.RamStart;

        private readonly World _world;
        private readonly int _ipaBits;
        private readonly List<Slot> _slots = [];

        // Guest pages that are there, and what the guest last wrote to each (0: nothing yet).
        private readonly Dictionary<ulong, ulong> _pages = [];

        // The host's own pages keep their contents whatever Stage-2 does.
        private readonly Dictionary<ulong, ulong> _hostContents = [];

        private readonly List<(ulong Start, ulong End)> _inProgress = [];
        private Vm<TFormat> _vm;
        private ulong _token = 1;

        internal Model(int chunks, int ipaBits)
        {
            _world = new World(chunks);
            _ipaBits = ipaBits;
            _vm = Born(MaintenancePolicy.Fate);
        }

        internal void Run(uint[] program)
        {
            foreach (uint step in program)
            {
                Step(new Choices(step));
                Agree();
            }

            Die();
        }

        private Vm<TFormat> Born(MaintenancePolicy policy)
        {
            var vm = new Vm<TFormat>(_world, policy, ipaBits: _ipaBits);
            vm.Created.ShouldBe(MemoryResult.Ok);
            return vm;
        }

        private void Step(Choices choices)
        {
            switch (choices.Below(16))
            {
                case 0:
                    AddSlot(ref choices);
                    break;
                case 1:
                    if (choices.Below(4) == 0)
                    {
                        RemoveSlot(ref choices);
                    }

                    break;
                case < 8:
                    int accesses = 1 + choices.Below(30);
                    ulong at = s_start + ((ulong)choices.Below((int)(Window / s_granule)) * s_granule);
                    for (int i = 0; i < accesses; i++)
                    {
                        Access(at + ((ulong)i * s_granule), (AccessKind)choices.Below(3));
                    }

                    break;
                case < 11:
                    Unmap(ref choices, choices.Maybe());
                    break;
                case 11:
                    EndOne(ref choices);
                    break;
                case 12:
                    Log(ref choices);
                    break;
                case 13:
                    _vm.Memory.Age(ref _vm.Machine, new Ipa(s_start), Window, out _).ShouldBe(MemoryResult.Ok);
                    break;
                case 14:
                    _vm.Memory.Policy = (MaintenancePolicy)choices.Below(7);
                    break;
                default:
                    if (choices.Below(4) == 0)
                    {
                        Die();
                        _vm = Born((MaintenancePolicy)choices.Below(7));
                    }

                    break;
            }
        }

        private void AddSlot(ref Choices choices)
        {
            ulong start = s_start + ((ulong)choices.Below(16) * Mb) + ((ulong)choices.Below(4) * s_granule);
            ulong bytes = ((ulong)(1 + choices.Below(5)) * Mb) - ((ulong)choices.Below(2) * s_granule);
            bool isHost = choices.Below(3) == 0;
            SlotOptions options = isHost
                ? new SlotOptions(
                    SlotBacking.Host, PageSizing.Auto, MemoryType.NormalWriteBack, false, PageFate.FileBacked)
                : SlotOptions.Ram((PageSizing)choices.Below(3));
            bool overlaps = _slots.Any(slot => start < slot.End && slot.Start < start + bytes);
            MemoryResult result = _vm.Memory.AddSlot(new Ipa(start), bytes, options, out int number);
            if (_slots.Count == SlotTable.Capacity)
            {
                result.ShouldBeOneOf(MemoryResult.TooManySlots, MemoryResult.Overlap);
                return;
            }

            result.ShouldBe(overlaps ? MemoryResult.Overlap : MemoryResult.Ok);
            if (result == MemoryResult.Ok)
            {
                _slots.Add(new Slot { Number = number, Start = start, End = start + bytes, IsHost = isHost });
            }
        }

        private void RemoveSlot(ref Choices choices)
        {
            if (_slots.Count == 0)
            {
                return;
            }

            Slot slot = _slots[choices.Below(_slots.Count)];
            _vm.Memory.RemoveSlot(ref _vm.Machine, slot.Number).ShouldBe(MemoryResult.Ok);
            _slots.Remove(slot);
            Forget(slot.Start, slot.End);
            Widen(slot.Start, slot.End);
        }

        private void Access(ulong page, AccessKind access)
        {
            Slot? slot = SlotOf(page);
            bool closed = IsClosed(page, s_granule);
            Translation before = _vm.Translate(page);
            bool wasPermitted = before.IsMapped && Permits(before, access);
            FaultResult result = slot is { IsHost: true }
                ? _vm.HostFault(page, HostPage(page), 3, access)
                : _vm.Fault(page, access, before.IsMapped || access == AccessKind.Execute ? -1 : before.Level);
            if (slot is null)
            {
                result.ShouldBe(FaultResult.NoSlot);
                return;
            }

            if (result == FaultResult.OutOfMemory)
            {
                _vm.Translate(page).IsMapped.ShouldBe(before.IsMapped);
                return;
            }

            if (closed && !before.IsMapped)
            {
                result.ShouldBe(FaultResult.Retry);
                return;
            }

            if (result == FaultResult.Retry)
            {
                // A permission fault on what is about to go, or a block whose other part is.
                ulong extent = before.IsMapped
                    ? Stage2Geometry.LevelBytes<TFormat>(before.Level)
                    : FramePool.ChunkBytes;
                IsClosed(page & ~(extent - 1), extent).ShouldBeTrue();
                (wasPermitted || (slot.IsHost && !closed)).ShouldBeFalse();
                return;
            }

            result.ShouldBe(FaultResult.Mapped);
            Translation now = _vm.Translate(page);
            Permits(now, access).ShouldBeTrue();
            ulong leafBytes = Stage2Geometry.LevelBytes<TFormat>(now.Level);
            ulong first = page & ~(leafBytes - 1);
            (wasPermitted || !IsClosed(first, leafBytes)).ShouldBeTrue("no leaf of any size in what is being taken");
            for (ulong at = first; at < first + leafBytes; at += s_granule)
            {
                _pages.TryAdd(at, slot.IsHost ? _hostContents.GetValueOrDefault(at) : 0);
            }

            if (access == AccessKind.Write)
            {
                ulong token = _token++;
                _vm.Write(page + 16, token);
                _pages[page] = token;
                if (slot.IsHost)
                {
                    _hostContents[page] = token;
                }

                slot.Dirty?.Add((page - slot.Start) / s_granule);
            }
        }

        private bool IsClosed(ulong start, ulong bytes) =>
            _inProgress.Count != 0 && start < _inProgress.Max(span => span.End)
            && _inProgress.Min(span => span.Start) < start + bytes;

        private void Unmap(ref Choices choices, bool leaveOpen)
        {
            ulong start = s_start + ((ulong)choices.Below((int)(Window / s_granule)) * s_granule);
            ulong bytes = (ulong)(1 + choices.Below(choices.Maybe() ? 40 : 2000)) * s_granule;
            ulong end = Math.Min(start + bytes, s_start + Window + (8 * Mb));
            bool touchesPool = _slots.Any(slot => !slot.IsHost && start < slot.End && slot.Start < end);
            NotifierEvent why = touchesPool
                ? (NotifierEvent)choices.Below(2)
                : (NotifierEvent)choices.Below(7);
            PageFate fate = touchesPool
                ? (PageFate)choices.Below(2)
                : (PageFate)choices.Below(8);
            var range = new NotifierRange(new Ipa(start), new Ipa(end), why, choices.Maybe(), fate);
            InvalidationCursor cursor = default;
            MemoryResult result = _vm.Memory.BeginInvalidation(ref _vm.Machine, in range, ref cursor);
            if (result == MemoryResult.OutOfMemory)
            {
                return;
            }

            while (result == MemoryResult.Again)
            {
                range.MayBlock.ShouldBeFalse();
                result = _vm.Memory.ContinueInvalidation(ref _vm.Machine, in range, ref cursor);
            }

            result.ShouldBe(MemoryResult.Ok);
            Forget(start, end);
            if (leaveOpen && _inProgress.Count < 3)
            {
                // The span of those in progress only shrinks when all have ended.
                _inProgress.Add((start, end));
            }
            else
            {
                _vm.Memory.EndInvalidation().ShouldBe(MemoryResult.Ok);
                Widen(start, end);
            }
        }

        /// <summary>An invalidation that came and went widens the span of those that are still in progress.</summary>
        private void Widen(ulong start, ulong end)
        {
            if (_inProgress.Count != 0)
            {
                _inProgress[0] = (Math.Min(_inProgress[0].Start, start), Math.Max(_inProgress[0].End, end));
            }
        }

        private void EndOne(ref Choices choices)
        {
            if (_inProgress.Count == 0)
            {
                _vm.Memory.EndInvalidation().ShouldBe(MemoryResult.BadArgument);
                return;
            }

            _vm.Memory.EndInvalidation().ShouldBe(MemoryResult.Ok);
            (ulong low, ulong high) = (_inProgress.Min(span => span.Start), _inProgress.Max(span => span.End));
            _inProgress.RemoveAt(choices.Below(_inProgress.Count));
            if (_inProgress.Count != 0)
            {
                _inProgress[0] = (low, high);
            }
        }

        private void Log(ref Choices choices)
        {
            if (_slots.Count == 0)
            {
                return;
            }

            Slot slot = _slots[choices.Below(_slots.Count)];
            int words = (int)GuestMemory<TFormat, TestMachine>.DirtyLogWords(slot.End - slot.Start);
            if (slot.Dirty is null)
            {
                _vm.Memory.StartDirtyLog(ref _vm.Machine, slot.Number, new Pinned<ulong>(words).Array)
                    .ShouldBe(MemoryResult.Ok);
                slot.Dirty = [];
                return;
            }

            if (choices.Below(3) == 0)
            {
                _vm.Memory.StopDirtyLog(slot.Number).ShouldBe(MemoryResult.Ok);
                slot.Dirty = null;
                return;
            }

            ulong[] dirty = new ulong[words];
            _vm.Memory.GetAndClearDirtyLog(ref _vm.Machine, slot.Number, dirty).ShouldBe(MemoryResult.Ok);
            var reported = new HashSet<ulong>();
            for (int page = 0; page < words * 64; page++)
            {
                if ((dirty[page / 64] >> (page % 64) & 1) != 0)
                {
                    reported.Add((ulong)page);
                }
            }

            reported.SetEquals(slot.Dirty).ShouldBeTrue();
            slot.Dirty.Clear();
        }

        private void Forget(ulong start, ulong end)
        {
            foreach (ulong page in _pages.Keys.Where(page => page >= start && page < end).ToArray())
            {
                _pages.Remove(page);
            }
        }

        /// <summary>Every leaf is in the model with its contents, and every page of the model has its leaf.</summary>
        private void Agree()
        {
            ulong granules = 0;
            foreach ((ulong ipa, ulong pa, int level) in _vm.Leaves())
            {
                ulong bytes = Stage2Geometry.LevelBytes<TFormat>(level);
                for (ulong offset = 0; offset < bytes; offset += s_granule)
                {
                    _pages.TryGetValue(ipa + offset, out ulong token).ShouldBeTrue();
                    _world.Read(pa + offset + 16).ShouldBe(token == 0 ? ExpectedFresh(ipa + offset) : token);
                    granules++;
                }
            }

            granules.ShouldBe((ulong)_pages.Count);
            ulong hostPages = (ulong)_pages.Keys.Count(page => SlotOf(page)!.IsHost);
            _vm.UsedFrames.ShouldBe(granules - hostPages + _vm.Memory.TablePages);
            _world.Pool.RefusedFrees.ShouldBe(0UL);
            _vm.Memory.InvalidationsInProgress.ShouldBe((uint)_inProgress.Count);

            // While a slot is logged, a writable page is one that the log has.
            foreach (Slot slot in _slots.Where(slot => slot.Dirty is not null))
            {
                foreach (ulong page in _pages.Keys.Where(page => page >= slot.Start && page < slot.End))
                {
                    bool isDirty = slot.Dirty!.Contains((page - slot.Start) / s_granule);
                    (!_vm.Translate(page).Attributes.Write || isDirty).ShouldBeTrue();
                }
            }
        }

        private void Die()
        {
            ReleaseReport report = _vm.Release();
            report.Result.ShouldBe(MemoryResult.Ok);
            report.LeakedFrames.ShouldBe(0UL);
            _world.Pool.Usage.OwnedChunks.ShouldBe(0);
            _world.Pool.Usage.DirtyChunks.ShouldBe(_world.Pool.Usage.TotalChunks);
            _slots.Clear();
            _pages.Clear();
            _inProgress.Clear();
        }

        private Slot? SlotOf(ulong page) => _slots.Find(slot => page >= slot.Start && page < slot.End);

        /// <summary>What a page holds that the guest has not written: zero, or what the host's page held.</summary>
        private ulong ExpectedFresh(ulong page) =>
            SlotOf(page)!.IsHost ? _world.Read(HostPage(page) + 16) : 0;

        private static ulong HostPage(ulong page) => HostFrames + (page - s_start);

        private static bool Permits(Translation leaf, AccessKind access) => leaf.IsMapped && access switch
        {
            AccessKind.Read => leaf.Attributes.Read,
            AccessKind.Write => leaf.Attributes.Write,
            _ => !leaf.Attributes.ExecuteNever,
        };
    }
}
