using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Recording;

namespace Quietus.Oracle.Programs;

/// <summary>The circumstances of a program.</summary>
/// <param name="Policy">Every VM's policy.</param>
/// <param name="Features">What the machine has.</param>
/// <param name="Pes">PEs that run guests, 1 to 4.</param>
/// <param name="Vms">VMs at a time, 1 to 3.</param>
/// <param name="VmidBits">2 makes numbers scarce, so that they roll over.</param>
/// <param name="PoolIsZero">The pool's memory is known to be zero at the start.</param>
/// <param name="UncachedGuests">Guests may turn their caches off, and nothing else is claimed of them.</param>
/// <param name="GranuleShift">12, 14 or 16: the page that programs work with.</param>
/// <param name="Chunks">Chunks of 2 MB in the pool.</param>
/// <param name="Listener">Hears what the judge is told.</param>
/// <param name="Vcpus">
/// vCPUs of a VM, one more than it has PEs or fewer; 0: they are not told apart, and no access is one vCPU's.
/// </param>
/// <param name="Forks">VMs have the pool's memory alone: with a host's slot, none can become a template.</param>
public sealed record ProgramOptions(
    MaintenancePolicy Policy,
    MachineFeatures Features,
    int Pes = 2,
    int Vms = 2,
    int VmidBits = 2,
    bool PoolIsZero = false,
    bool UncachedGuests = true,
    int GranuleShift = 12,
    int Chunks = 8,
    IEventListener? Listener = null,
    bool Forks = false,
    int Vcpus = 0);
