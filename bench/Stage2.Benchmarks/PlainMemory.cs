using System;

namespace Quietus.Stage2.Benchmarks;

/// <summary>Memory for table pages: one array of words, and a stack of the pages that are free.</summary>
internal sealed class PlainMemory
{
    /// <summary>Not 0, which to the engine is no table.</summary>
    public const ulong Start = 0x1_0000_0000;

    private const int WordsPerTable = 512;
    private const int TableBytes = WordsPerTable * sizeof(ulong);

    private readonly ulong[] _words;
    private readonly int[] _free;
    private int _freeCount;

    /// <param name="tables">How many table pages there are besides the root's.</param>
    /// <param name="rootTables">The pages of the root, which lie at the front.</param>
    public PlainMemory(int tables, int rootTables)
    {
        // Touched now, so that no measurement pays for the host's page faults.
        _words = new ulong[(tables + rootTables) * WordsPerTable];
        Array.Fill(_words, 1UL);
        Array.Clear(_words);
        _free = new int[tables];
        for (int i = 0; i < tables; i++)
        {
            _free[i] = rootTables + tables - 1 - i;
        }

        _freeCount = tables;
    }

    /// <summary>Operations that leave the PE: counted, as every machine of the project counts them.</summary>
    public long Operations { get; private set; }

    public ref ulong Entry(Pa entry) => ref _words[(entry.Value - Start) >> 3];

    public bool HasFree(uint count) => count <= (uint)_freeCount;

    public Pa Take()
    {
        int page = _free[--_freeCount];
        Array.Clear(_words, page * WordsPerTable, WordsPerTable);
        return new Pa(Start + ((ulong)(uint)page * TableBytes));
    }

    public void Return(Pa table) => _free[_freeCount++] = (int)((table.Value - Start) / TableBytes);

    public Pa TakeRoot(uint tables)
    {
        Array.Clear(_words, 0, (int)tables * WordsPerTable);
        return new Pa(Start);
    }

    public void Note() => Operations++;
}

/// <summary>
/// The hardware boundary over <see cref="PlainMemory"/>: reading and writing entries is a load and a store, and
/// every barrier and every maintenance operation is one addition. What is left is the engine's own work.
/// </summary>
internal readonly struct PlainMachine(PlainMemory memory) : IStage2Machine
{
    public bool HasForcedWriteBack => false;

    public bool HasRangeInvalidation => false;

    public bool HasLevelHint => false;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => BreakBeforeMakeSupport.Level0;

    public ulong ReadEntry(Pa entry) => memory.Entry(entry);

    public void WriteEntry(Pa entry, ulong value) => memory.Entry(entry) = value;

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        ref ulong place = ref memory.Entry(entry);
        if (place != expected)
        {
            return false;
        }

        place = desired;
        return true;
    }

    public bool ReserveTables(uint count) => memory.HasFree(count);

    public Pa TakeTable() => memory.Take();

    public void ReturnTable(Pa table) => memory.Return(table);

    public bool TakeRoot(uint tables, out Pa root)
    {
        root = memory.TakeRoot(tables);
        return true;
    }

    public void ReturnRoot(Pa root, uint tables)
    {
    }

    public void DsbInnerShareableStores() => memory.Note();

    public void DsbInnerShareable() => memory.Note();

    public void DsbFullSystem() => memory.Note();

    public void Isb() => memory.Note();

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa) => memory.Note();

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range) => memory.Note();

    public void InvalidateCombined(Vmid vmid) => memory.Note();

    public void InvalidateVmid(Vmid vmid) => memory.Note();

    public void CleanInvalidateToPoC(Pa start, ulong bytes) => memory.Note();

    public void InvalidateInstructionCache(Pa start, ulong bytes) => memory.Note();
}
