using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Oracle.Judging;

// VMs: their lives, their PEs, and the calls into the memory layer that are made for them.
public sealed partial class Judge
{
    /// <summary>Whether a page is a table that no VM has.</summary>
    internal bool IsSpareTable(Pa page) => _store.Find(page.Value) is { Links.Count: 0 };

    /// <summary>A VM's tables exist from now on.</summary>
    internal JudgedVm AddVm(string name, Pa root, uint tables, int startLevel)
    {
        _listener?.Vm(_parties.Count, name, root, tables, startLevel);
        var vm = new JudgedVm(_parties.Count, name) { Root = root.Value, StartLevel = startLevel };
        _parties.Add(name);
        _tlbs.AddVm(vm);
        _tables.AddRoot(vm, tables);
        return vm;
    }

    /// <summary>Whose read of an entry it was is known now; see <see cref="ReadEntry"/>.</summary>
    internal void Observe(int pe, Pa entry) => _tlbs.Observe(pe, entry.Value);

    /// <summary>A PE loads VTTBR_EL2: from now on it may walk and cache whatever the tables say.</summary>
    /// <param name="vcpu">Whose registers it has loaded, below <see cref="MostVcpus"/>.</param>
    internal void Load(int pe, JudgedVm vm, Vmid vmid, int vcpu = 0)
    {
        _listener?.Load(pe, vm.Party, vmid, vcpu);
        Events++;
        _tlbs.Load(pe, vm, vmid, vcpu);
        _tables.Load(pe, vm);
    }

    /// <summary>
    /// The guest on a PE makes an access. False where the PE runs none.
    /// </summary>
    internal bool TryAccess(int pe)
    {
        _listener?.Access(pe);
        Events++;
        return _tlbs.TryAccess(pe);
    }

    /// <summary>A PE no longer has the VM's VTTBR_EL2: its TLB keeps what it has, but uses none of it.</summary>
    internal void Unload(int pe, JudgedVm vm)
    {
        _listener?.Unload(pe, vm.Party);
        Events++;
        _tlbs.Unload(pe, vm);
    }

    /// <summary>A call into the hypervisor's memory layer begins: what it changes is judged when it returns.</summary>
    internal void BeginCall(JudgedVm? vm)
    {
        _listener?.BeginCall(vm?.Party ?? 0);
        _calls.Begin(vm);
    }

    /// <summary>
    /// The call returned: pages have changed hands, no PE may use what is not in the tables now, and what was made is
    /// visible.
    /// </summary>
    internal void EndCall()
    {
        _listener?.EndCall();
        CallRecord call = _calls.End();
        foreach ((int first, int count, ushort before) in call.Touched)
        {
            for (int page = first; page < first + count; page++)
            {
                int mappings = _pages.Use(page).Mappings;
                bool isUnmapped = mappings < before
                    && (mappings == 0 || _caches.LastWriter(page) == call.Vm?.Party);
                if (mappings > before || isUnmapped)
                {
                    _caches.RaiseBaseline(page);
                }
            }
        }

        if (call.Vm is { IsReleased: false } vm)
        {
            _tlbs.CheckReturn(vm);
        }

        if (call.MadeAt != 0 && call.MadeFor!.Loaded is not 0 and uint loaded
            && !_clock.IsVisible(call.MadePe, call.MadeAt))
        {
            Broken.Fail(ViolationKind.Unpublished, "the guest",
                $"the call has returned, and no DSB has made visible what PE {call.MadePe} mapped for "
                + $"{call.MadeFor.Name}: {Broken.Pes(loaded)} may fault on it again");
        }
    }

    /// <summary>Everything that a VM had was given back.</summary>
    internal void Release(JudgedVm vm)
    {
        _listener?.Release(vm.Party);
        Events++;
        if (vm.Loaded is not 0 and uint loaded)
        {
            Broken.Fail(ViolationKind.TableFreedInUse, "a guest",
                $"all memory of {vm.Name} is given back, tables too, and {Broken.Pes(loaded)} may still use it");
        }

        vm.IsReleased = true;
        vm.Dangles = true;
        _tables.Release(vm);
    }

    /// <summary>The frames that stale leaves lead to and that are not known to be free: to be asked after.</summary>
    internal void Watched(JudgedVm vm, List<(ulong Frame, ulong Bytes)> frames) => _tlbs.Watched(vm, frames);

    internal static bool HasWatched(JudgedVm vm) => TlbModel.HasWatched(vm);

    /// <summary>Where a guest on a PE may reach an IPA by a translation that is no longer in the tables.</summary>
    internal static bool TryReachStale(JudgedVm vm, int pe, ulong random, out Ipa ipa, out Pa page)
    {
        ipa = default;
        page = default;
        foreach (TlbTag tag in vm.Tags)
        {
            if (tag.Stale.Count != 0 && (tag.Loaded >> pe & 1) != 0)
            {
                ref readonly StaleItem item = ref tag.Stale.Items[(int)(random % (ulong)tag.Stale.Count)];
                ipa = new Ipa(item.Ipa);
                page = new Pa(item.Target);
                return !item.IsTable && (item.Pes >> pe & 1) != 0 && Descriptor.MayWrite(item.Descriptor);
            }
        }

        return false;
    }
}
