using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
namespace Quietus.Hypervisor.Core;
internal unsafe struct Vcpu { internal ulong X; }
internal static unsafe class VcpuLoop { internal static void Run(Core* core, Vcpu* vcpu) { } }
internal static class VmTable { internal const ulong Bytes = 65536; internal static bool Initialize() => true; }
internal static unsafe class MonitorLoop { internal static void Run() {
 System.Span<byte> b = stackalloc byte[128]; LineBuilder l = new(b); l.Text("up cores "u8); l.Number((ulong)Platform.CoreCount); l.Field("free"u8, (ulong)Platform.Pool.Usage.CleanChunks + (ulong)Platform.Pool.Usage.DirtyChunks);
 ulong c = Instructions.ReadCycleCounter(); l.Field("cyc"u8, Instructions.ReadCycleCounter() - c); MachineConsole.Log(l.Written);
 *(ulong*)Instructions.ImageAddress(ImageBoundary.Start) = 1; } }
