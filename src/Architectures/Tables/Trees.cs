using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>What hooks over the engine's tables have in common.</summary>
internal static class Trees
{
    /// <summary>Guest memory, writable where the host's page is.</summary>
    internal static LeafAttributes GuestMemory(bool isWritable) => LeafAttributes.GuestMemory.WithWrite(isWritable);

    /// <summary>A result that leaves no other way: anything else is a defect.</summary>
    internal static void Expect(Stage2Result result)
    {
        if (result != Stage2Result.Done)
        {
            throw new InvalidOperationException($"The engine answers {result}.");
        }
    }

    internal static bool IsMapped(Translation translation, AccessKind access) =>
        translation.IsMapped && (access != AccessKind.Write || translation.Attributes.Write);

    /// <summary>Every leaf. What it reads is counted: for checks, not for measured runs.</summary>
    internal static List<GuestLeaf> Leaves<TFormat>(
        ref HookMachine<TFormat> machine, in PageTable<TFormat, HookMachine<TFormat>> table)
        where TFormat : struct, IDescriptorFormat
    {
        Collector<TFormat> collector = new([]);
        RangeCursor cursor = table.WholeRange();
        if (table.Exists)
        {
            Expect(table.Visit(ref machine, ref cursor, ref collector));
        }

        return collector.Leaves;
    }

    private readonly struct Collector<TFormat>(List<GuestLeaf> leaves) : ILeafVisitor
        where TFormat : struct, IDescriptorFormat
    {
        internal List<GuestLeaf> Leaves => leaves;

        public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) => leaves.Add(new GuestLeaf(
            ipa.Value, output.Value, Stage2Geometry.LevelBytes<TFormat>(level), attributes.Write));
    }
}
