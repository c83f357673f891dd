using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Memory.Tests;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>
/// The engine on a simulated host against a plain model, by random programs of what hosts do: fork, copy-on-write,
/// mremap, mprotect, madvise, migration, swap, munmap. The VM never sees a page that the host does not map there.
/// </summary>
public class HostModelTests
{
    private const ulong Page = 4096;
    private const ulong AreaBytes = 4UL << 20;
    private const ulong Ram = 1UL << 30;

    [Fact]
    public void A_VM_sees_what_its_host_maps_and_nothing_else() =>
        Programs.Check(150, 60, static program => new Play(program).Run());

    /// <summary>One program.</summary>
    private sealed class Play
    {
        private readonly SimulatedServer _server;
        private readonly Host _host;
        private readonly HostProcess _vmm;
        private readonly HostedVm _vm;
        private readonly ulong[] _areas;
        private readonly List<HostProcess> _children = [];
        private readonly uint[] _program;

        /// <summary>By guest page: whether the host lets the guest have it now, and to be written.</summary>
        private readonly Dictionary<ulong, (bool Mapped, bool Writable)> _model = [];

        internal Play(uint[] program)
        {
            _program = program;
            var choices = new Choices(program[0]);
            MachinePreset machine = Machines.Named(choices.Maybe() ? "d05" : "modern");
            _server = new SimulatedServer(machine, 64UL << 20);
            _host = new Host(_server, seed: choices.Below(100), interleave: choices.Maybe());
            _vmm = _host.Start();
            _vm = _vmm.CreateVm((MaintenancePolicy)choices.Below(7), vcpus: 2);
            _areas =
            [
                _vmm.Map(AreaBytes),
                _vmm.Map(AreaBytes, AreaKind.Anonymous, AreaPages.Transparent, null, 0.5),
                _vmm.Map(AreaBytes, AreaKind.File),
                _vmm.Map(AreaBytes, AreaKind.Anonymous, AreaPages.Huge2M),
            ];
            for (int i = 0; i < _areas.Length; i++)
            {
                _vm.AddSlot(new Ipa(Ram + ((ulong)i * AreaBytes)), _areas[i], AreaBytes);
                for (ulong offset = 0; offset < AreaBytes; offset += Page)
                {
                    _model[_areas[i] + offset] = (true, true);
                }
            }
        }

        internal void Run()
        {
            foreach (uint step in _program)
            {
                Step(new Choices(step));
                CheckAll();
            }

            foreach (HostProcess child in _children)
            {
                child.Exit();
            }

            _vmm.Kill();
            _vm.Memory.Exists.ShouldBeFalse();
            _server.Pool.Usage.OwnedChunks.ShouldBe(0);
            _server.Pool.RefusedFrees.ShouldBe(0UL);
            _host.Processes.ShouldBeEmpty();
        }

        private void Step(Choices choices)
        {
            int area = choices.Below(4);
            int operation = choices.Below(12);
            ulong unit = area == 3 ? 2UL << 20 : Page;
            ulong pages = AreaBytes / unit;
            ulong offset = (ulong)choices.Below((int)pages) * unit;
            ulong bytes = Math.Min(AreaBytes - offset, (1UL + (ulong)choices.Below(600)) * unit);
            ulong address = _areas[area] + offset;
            switch (operation)
            {
                case 0:
                case 1:
                case 2:
                case 3:
                    Touch(area, offset, bytes, operation < 3);
                    break;

                case 4:
                    SetModel(address, bytes, _vmm.Unmap(address, bytes), (false, false));
                    break;

                case 5:
                    _ = _vmm.DontNeed(address, bytes);
                    break;

                case 6:
                    bool writable = choices.Maybe();
                    SetModel(address, bytes, _vmm.Protect(address, bytes, writable), (true, writable));
                    break;

                case 7:
                    SetModel(address, bytes, _vmm.Move(address, bytes, out _), (false, false));
                    break;

                case 8:
                    if (_children.Count < 3)
                    {
                        _children.Add(_vmm.Fork());
                    }

                    break;

                case 9:
                    _ = _vmm.Migrate(address);
                    break;

                case 10:
                    _ = _vmm.SwapOut(address);
                    break;

                default:
                    if (_children.Count != 0)
                    {
                        HostProcess child = _children[choices.Below(_children.Count)];
                        _ = choices.Maybe() ? child.Access(address, true) : _vmm.Access(address, true);
                    }

                    break;
            }
        }

        /// <summary>
        /// An operation on a range succeeds where all of it is mapped, and changes nothing elsewhere.
        /// </summary>
        private void SetModel(ulong address, ulong bytes, bool done, (bool Mapped, bool Writable) state)
        {
            bool all = true;
            for (ulong at = address; at < address + bytes; at += Page)
            {
                all &= _model[at].Mapped;
            }

            done.ShouldBe(all);
            for (ulong at = address; done && at < address + bytes; at += Page)
            {
                _model[at] = state;
            }
        }

        private void Touch(int area, ulong offset, ulong bytes, bool isWrite)
        {
            for (ulong at = offset; at < offset + Math.Min(bytes, 40 * Page); at += Page)
            {
                var ipa = new Ipa(Ram + ((ulong)area * AreaBytes) + at);
                ulong mapped = _vm.Touch(ipa, isWrite ? AccessKind.Write : AccessKind.Read);
                (bool isMapped, bool isWritable) = _model[_areas[area] + at];
                (mapped != 0).ShouldBe(isMapped && (isWritable || !isWrite));
                if (mapped != 0)
                {
                    _vm.Memory.Translate(ipa).IsMapped.ShouldBeTrue();
                    _vm.Memory.Translate(ipa).Attributes.Write.ShouldBe(
                        isWrite || _vm.Memory.Translate(ipa).Attributes.Write);
                }
            }
        }

        private void CheckAll()
        {
            for (int i = 0; i < _areas.Length; i++)
            {
                var agreement = new Agreement(_vmm, _areas[i] - (Ram + ((ulong)i * AreaBytes)));
                _vm.Memory.Visit(new Ipa(Ram + ((ulong)i * AreaBytes)), AreaBytes, ref agreement);
            }

            // No process's page is another's, but after a fork and then never writable for either.
            var writable = new Dictionary<ulong, HostProcess>();
            foreach (HostProcess process in _children.Append(_vmm))
            {
                foreach (ulong address in _areas.Where((_, index) => index != 2))
                {
                    for (ulong at = address; at < address + AreaBytes; at += Page)
                    {
                        Pa frame = process.Translate(at, out bool isWritable);
                        if (frame.Value != 0 && isWritable)
                        {
                            writable.TryAdd(frame.Value, process).ShouldBeTrue();
                        }
                    }
                }
            }
        }
    }
}
