using System;
using System.Linq;
using Quietus.Hypervisor.Randomness;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Randomness;

public class RandomGeneratorTests
{
    /// <summary>RFC 8439, 2.3.2.</summary>
    [Fact]
    public void The_block_function_gives_the_published_block()
    {
        uint[] key = [.. Enumerable.Range(0, 8).Select(i => 0x0302_0100u + (0x0404_0404u * (uint)i))];
        uint[] block = new uint[ChaCha20.BlockWords];
        ChaCha20.Block(key, 1, [0x0900_0000, 0x4A00_0000, 0], block);
        block.ShouldBe(
        [
            0xE4E7F110, 0x15593BD1, 0x1FDD0F50, 0xC47120A3, 0xC7F4D1C7, 0x0368C033, 0x9AAA2204, 0x4E6CD4C3,
            0x466482D2, 0x09AA9F07, 0x05D7C214, 0xA2028BD9, 0xD19C12B5, 0xB94E16DE, 0xE883D0CB, 0x4E3C50A2,
        ]);
    }

    [Fact]
    public void Without_a_seed_it_gives_nothing()
    {
        RandomGenerator generator = default;
        byte[] bytes = new byte[8];
        generator.TryFill(bytes).ShouldBeFalse();
        generator.Absorb(default);
        generator.TryFill(bytes).ShouldBeFalse();
        bytes.ShouldAllBe(value => value == 0);
    }

    [Fact]
    public void Every_byte_of_the_seed_and_every_call_changes_what_comes()
    {
        var seen = new System.Collections.Generic.HashSet<string>();
        for (int at = 0; at < 70; at++)
        {
            byte[] seed = new byte[70];
            seed[at] = 1;
            RandomGenerator generator = default;
            generator.Absorb(seed);
            for (int call = 0; call < 3; call++)
            {
                byte[] bytes = new byte[40];
                generator.TryFill(bytes).ShouldBeTrue();
                seen.Add(Convert.ToHexString(bytes)).ShouldBeTrue();
            }
        }
    }

    [Fact]
    public void No_position_of_what_comes_is_constant_and_the_key_is_not_in_it()
    {
        RandomGenerator generator = default;
        generator.Absorb([1]);
        byte[] first = new byte[200];
        generator.TryFill(first).ShouldBeTrue();
        byte[] or = new byte[200];
        byte[] and = [.. Enumerable.Repeat((byte)0xFF, 200)];
        for (int call = 0; call < 64; call++)
        {
            byte[] bytes = new byte[200];
            generator.TryFill(bytes);
            for (int i = 0; i < bytes.Length; i++)
            {
                or[i] |= bytes[i];
                and[i] &= bytes[i];
            }
        }

        or.ShouldAllBe(value => value == 0xFF);
        and.ShouldAllBe(value => value == 0);
    }
}
