using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>Something that comes true sooner or later.</summary>
internal interface ICondition
{
    bool Holds();
}

/// <summary>Waiting with an end.</summary>
internal static class Waits
{
    /// <summary>Polls until a condition holds; false when that takes more than so many milliseconds.</summary>
    internal static bool For<TCondition>(TCondition condition, ulong milliseconds)
        where TCondition : struct, ICondition
    {
        ulong end = Clock.Now + Clock.Milliseconds(milliseconds);
        while (!condition.Holds())
        {
            if (Clock.Now > end)
            {
                return condition.Holds();
            }

            Instructions.Yield();
        }

        return true;
    }
}
