using System;
using System.Text.Json;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>The object <c>kvm</c> of a <c>quietus.bench/1</c> document (docs/against-kvm.md).</summary>
internal static class KvmJson
{
    public static void Write(Utf8JsonWriter json, BenchResult result, KvmResult kvm)
    {
        json.WriteStartObject("kvm");
        json.WriteString("kernel", kvm.KernelRelease);
        json.WriteString("package", kvm.Package);
        json.WriteString("probe_sha256", kvm.ProbeSha256);
        json.WriteString("qemu_command", kvm.QemuCommand);
        json.WriteNumber("empty_instructions", kvm.EmptyInstructions);
        json.WriteStartArray("rows");
        foreach (KvmRow row in kvm.Rows)
        {
            json.WriteStartObject();
            json.WriteNumber("memory_bytes", row.Case.MemoryBytes);
            json.WriteString("page_size", row.Case.Pages);
            json.WriteString("way", row.Way);
            json.WriteNumber("mapped_pages_4k", row.MappedPages4K);
            json.WriteNumber("mapped_blocks_2m", row.MappedBlocks2M);
            json.WriteNumber("instructions", row.Instructions);
            json.WriteNumber("virtual_ns", row.VirtualNanoseconds);
            json.WriteNumber("freed_bytes", row.FreedBytes);
            json.WriteNumber("per_page_instructions", Math.Round(row.PerEntry, 3));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("comparisons");
        foreach (KvmComparison pair in KvmComparison.Make(result, kvm))
        {
            json.WriteStartObject();
            json.WriteNumber("memory_bytes", pair.Case.MemoryBytes);
            json.WriteString("page_size", pair.Case.Pages);
            json.WriteString("way", pair.Way);
            json.WriteNumber("quietus_instructions", pair.Ours.Death.Instructions);
            json.WriteNumber("kvm_instructions", pair.Whole.Instructions);
            json.WriteNumber("kvm_stage2_instructions", pair.Share.Instructions);
            json.WriteNumber("no_vm_instructions", pair.NoVm.Instructions);
            json.WriteNumber("ratio", Math.Round(pair.WholeRatio, 3));
            json.WriteNumber("stage2_ratio", Math.Round(pair.ShareRatio, 3));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
