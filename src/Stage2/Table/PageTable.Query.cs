namespace Quietus.Stage2;

// Reading the tables.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>
    /// What the table says about an IPA. An address beyond the input size faults at level 0, as in hardware
    /// (DDI 0487 D8.2).
    /// </summary>
    public readonly Translation Translate(ref TMachine machine, Ipa ipa)
    {
        if (!Exists || ipa >= _geometry.IpaLimit)
        {
            return new Translation(0);
        }

        _ = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong entry);
        if (!TFormat.IsValid(entry))
        {
            return new Translation(level);
        }

        Pa output = TFormat.OutputAddress(entry, level) + (ipa.Value & (LevelBytes(level) - 1));
        return new Translation(level, output, TFormat.Attributes(entry, _forcedWriteBack));
    }

    /// <summary>
    /// Shows a visitor each leaf that maps some of a range. The budget bounds one call, as in all walks.
    /// </summary>
    /// <returns>Done or Again; Misaligned, OutOfRange.</returns>
    public readonly Stage2Result Visit<TVisitor>(ref TMachine machine, ref RangeCursor cursor, ref TVisitor visitor)
        where TVisitor : struct, ILeafVisitor
    {
        Stage2Result validity = Validate(ref cursor);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        ulong budget = BudgetOf(in cursor);
        Ipa ipa = cursor.Next;
        while (ipa < cursor.End && budget != 0)
        {
            Run run = RunAt(ref machine, ipa, cursor.End, budget);
            ipa = run.Start;
            for (ulong left = run.Entries; left != 0; left--)
            {
                ulong entry = machine.ReadEntry(run.Address);
                if (TFormat.IsValid(entry))
                {
                    if (TFormat.IsTable(entry, run.Level))
                    {
                        break;
                    }

                    visitor.Visit(ipa, TFormat.OutputAddress(entry, run.Level), run.Level,
                        TFormat.Attributes(entry, _forcedWriteBack));
                }

                run.Address += 1UL << EntryShift;
                ipa += LevelBytes(run.Level);
            }

            budget = Spend(budget, in run, ipa);
        }

        return Finish(ref cursor, ipa);
    }

    /// <summary>Tells whether any leaf of a range is marked accessed. Changes nothing.</summary>
    /// <param name="young">The answer for as much as one call's budget reaches.</param>
    /// <returns>As <see cref="Visit"/>.</returns>
    public readonly Stage2Result IsYoung(ref TMachine machine, ref RangeCursor cursor, out bool young)
    {
        AnyAccessed visitor = default;
        Stage2Result result = Visit(ref machine, ref cursor, ref visitor);
        young = visitor.Found;
        return result;
    }

    /// <summary>A cursor over everything that the table can map.</summary>
    public readonly RangeCursor WholeRange(uint budget = RangeCursor.Unlimited) =>
        new(default, Exists ? _geometry.IpaLimit.Value : 0, budget);

    private struct AnyAccessed : ILeafVisitor
    {
        public bool Found;

        public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) => Found |= attributes.Accessed;
    }
}
