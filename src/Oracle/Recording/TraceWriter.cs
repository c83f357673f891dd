using System;
using System.Globalization;
using System.IO;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Recording;

/// <summary>Writes what a judge hears as a trace: docs/oracle-traces.md is the format.</summary>
public sealed class TraceWriter(TextWriter output) : IEventListener
{
    private long _lines;

    /// <inheritdoc/>
    public void Machine(MachineFeatures features, int granuleShift, int pes)
    {
        output.Write(TraceFormat.Heading + "\n");
        _lines = 0;
        Put($"machine granule={TraceFormat.Granules[(granuleShift - 12) / 2]} pes={pes} ",
            $"features={TraceFormat.NameFeatures(features)}");
    }

    /// <inheritdoc/>
    public void Memory(Pa start, ulong bytes, bool isPool, bool isZero) =>
        Put($"memory {Range(start, bytes)} kind={(isPool ? "pool" : "host")} contents={(isZero ? "zero" : "old")}");

    /// <inheritdoc/>
    public void Party(int number, string name) => Put($"party number={number} name=\"{name}\"");

    /// <inheritdoc/>
    public void Vm(int number, string name, Pa root, uint tables, int startLevel) =>
        Put($"vm number={number} name=\"{name}\" root=0x{root.Value:x} tables={tables} level={startLevel}");

    /// <inheritdoc/>
    public void Own(Pa start, ulong bytes, int owner) => Put($"own {Range(start, bytes)} owner={owner}");

    /// <inheritdoc/>
    public void TakeTables(int pe, Pa first, uint count) =>
        Put($"take-tables pe={pe} first=0x{first.Value:x} count={count}");

    /// <inheritdoc/>
    public void ReturnTables(Pa first, uint count) => Put($"return-tables first=0x{first.Value:x} count={count}");

    /// <inheritdoc/>
    public void SetAccessFlag(Pa entry) => Put($"walk-sets-access at=0x{entry.Value:x}");

    /// <inheritdoc/>
    public void ReadEntry(int pe, Pa entry) => Put($"read-entry at=0x{entry.Value:x}", By(pe));

    /// <inheritdoc/>
    public void WriteEntry(int pe, Pa entry, ulong value) =>
        Put($"write-entry pe={pe} at=0x{entry.Value:x} value=0x{value:x}");

    /// <inheritdoc/>
    public void BeginCall(int vm) => Put($"call vm={vm}");

    /// <inheritdoc/>
    public void EndCall() => Put($"return");

    /// <inheritdoc/>
    public void Load(int pe, int vm, Vmid vmid, int vcpu) =>
        Put($"load pe={pe} vm={vm} vmid={vmid.Value}", vcpu != 0 ? (FormattableString)$" vcpu={vcpu}" : null);

    /// <inheritdoc/>
    public void Access(int pe) => Put($"access pe={pe}");

    /// <inheritdoc/>
    public void Unload(int pe, int vm) => Put($"unload pe={pe} vm={vm}");

    /// <inheritdoc/>
    public void Invalidate(
        int pe, TlbiKind kind, Vmid vmid, Ipa ipa, ulong bytes, int levelHint, uint pes, bool leavesExtraSlow) =>
        Put($"tlbi pe={pe} op={TraceFormat.NameInvalidation(kind, leavesExtraSlow)} vmid={vmid.Value} ",
            $"ipa=0x{ipa.Value:x} bytes=0x{bytes:x} level={levelHint} reaches=0x{pes:x}");

    /// <inheritdoc/>
    public void Complete(int pe, BarrierKind kind) => Put($"dsb pe={pe} op={TraceFormat.Barriers[(int)kind]}");

    /// <inheritdoc/>
    public void Write(Pa start, ulong bytes, int writer, int owner, bool isCached, int pe) =>
        Put($"write {Range(start, bytes)} writer={writer} owner={owner} path={Path(isCached)}", By(pe));

    /// <inheritdoc/>
    public void Share(Pa start, ulong bytes, bool isShared) =>
        Put($"{(isShared ? "share" : "unshare")} {Range(start, bytes)}");

    /// <inheritdoc/>
    public void Consume(Pa page, string reader, string where, bool isCached) =>
        Put($"read page=0x{page.Value:x} reader=\"{reader}\" what=\"{where}\" path={Path(isCached)}");

    /// <inheritdoc/>
    public void CopyLogged(Pa page) => Put($"copy-logged page=0x{page.Value:x}");

    /// <inheritdoc/>
    public void CheckUnlogged(Pa page, string reader, string where) =>
        Put($"unlogged page=0x{page.Value:x} reader=\"{reader}\" what=\"{where}\"");

    /// <inheritdoc/>
    public void Fetch(Pa page, string reader, string where) =>
        Put($"fetch page=0x{page.Value:x} reader=\"{reader}\" what=\"{where}\"");

    /// <inheritdoc/>
    public void Maintain(int pe, CacheKind kind, Pa start, ulong bytes) =>
        Put($"maintain pe={pe} op={TraceFormat.CacheOperations[(int)kind]} {Range(start, bytes)}");

    /// <inheritdoc/>
    public void GuestMaintains(Pa page, CacheKind kind) =>
        Put($"guest-maintains page=0x{page.Value:x} op={TraceFormat.CacheOperations[(int)kind]}");

    /// <inheritdoc/>
    public void ReturnFrames(Pa start, ulong bytes) => Put($"return-frames {Range(start, bytes)}");

    /// <inheritdoc/>
    public void Release(int vm) => Put($"release vm={vm}");

    /// <summary>Writes the last line, without which the trace is not whole.</summary>
    public void End() => output.Write(string.Create(CultureInfo.InvariantCulture, $"end events={_lines}\n"));

    private static string Range(Pa start, ulong bytes) =>
        string.Create(CultureInfo.InvariantCulture, $"start=0x{start.Value:x} bytes=0x{bytes:x}");

    private static FormattableString? By(int pe) => pe >= 0 ? (FormattableString)$" pe={pe}" : null;

    private static string Path(bool isCached) => isCached ? "cached" : "uncached";

    private void Put(FormattableString line, FormattableString? rest = null)
    {
        _lines++;
        output.Write(line.ToString(CultureInfo.InvariantCulture));
        output.Write(rest?.ToString(CultureInfo.InvariantCulture));
        output.Write('\n');
    }
}
