# The stand-in for Pester, tested by files that it runs: what should fail has to fail.

Describe 'The stand-in for Pester' {
    BeforeAll {
        $runner = [System.IO.Path]::Combine($PSScriptRoot, 'Host', 'Invoke-TestFile.ps1')

        # Runs a test file in a process of its own, of the shell that runs this one.
        function Invoke-Sample {
            param([string] $Text, [string[]] $Argument)

            $file = [System.IO.Path]::Combine($TestDrive, 'Sample.Tests.ps1')
            $results = [System.IO.Path]::Combine($TestDrive, 'results.jsonl')
            [System.IO.File]::WriteAllText($file, $Text)
            [System.IO.File]::Delete($results)
            $shell = [System.Environment]::ProcessPath
            $start = [System.Diagnostics.ProcessStartInfo]::new($shell)
            $start.RedirectStandardOutput = $start.RedirectStandardError = $true
            if ([System.IO.Path]::GetFileNameWithoutExtension($shell) -eq 'dotnet') {
                $start.ArgumentList.Add('exec')
                $start.ArgumentList.Add([System.Environment]::GetCommandLineArgs()[0])
            }

            if ($Host.Name -eq 'C10kServer.Host') { $start.ArgumentList.Add('-NoModule') }
            $all = @('-NoProfile', '-File', $runner, '-Path', $file, '-ResultPath', $results, '-StandIn'; if ($Argument) { $Argument })
            foreach ($item in $all) { $start.ArgumentList.Add($item) }

            $process = [System.Diagnostics.Process]::Start($start)
            $out = $process.StandardOutput.ReadToEndAsync()
            $err = $process.StandardError.ReadToEndAsync()
            if (-not $process.WaitForExit(60000)) {
                $process.Kill($true)
                throw 'The sample did not end within a minute.'
            }

            $records = @(
                if ([System.IO.File]::Exists($results)) {
                    foreach ($line in [System.IO.File]::ReadAllLines($results)) {
                        $json = [System.Text.Json.JsonDocument]::Parse($line).RootElement
                        @{
                            Name = $json.GetProperty('Name').GetString(); Outcome = $json.GetProperty('Outcome').GetString()
                            Message = $json.GetProperty('Message').GetString(); Line = $json.GetProperty('Line').GetInt32()
                        }
                    }
                }
            )
            @{ Code = $process.ExitCode; Out = $out.Result; Err = $err.Result; Results = $records }
        }

        function Get-Summary {
            param($Run)

            foreach ($result in $Run.Results) { "$($result.Name): $($result.Outcome)" }
        }
    }

    It 'says that it is not Pester, and what became of each test' {
        $run = Invoke-Sample -Text "Describe 'd' { Context 'c' { It 'good' { 1 | Should -Be 1 }`n It 'bad' { 1 | Should -Be 2 } } }"
        $run.Out | Should -Match 'This is not Pester'
        $run.Out | Should -Match '\[\+\] d c good'
        $run.Out | Should -Match '\[-\] d c bad'
        Get-Summary $run | Should -Be 'd c good: Passed', 'd c bad: Failed'
        $run.Results[1].Line | Should -Be 2
        $run.Results[1].Message | Should -BeLike 'Expected the value to be 2, but got 1.*Sample.Tests.ps1: line 2*'
        $run.Code | Should -Be 1
    }

    It 'ends with 0 if all passed or were skipped' {
        $run = Invoke-Sample -Text "Describe 'd' { It 'good' { }; It 'skipped' -Skip { throw } }"
        Get-Summary $run | Should -Be 'd good: Passed', 'd skipped: Skipped'
        $run.Code | Should -Be 0
    }

    Context 'Should' {
        BeforeDiscovery {
            $wrong = @(
                '1 | Should -Be 2'
                '1 | Should -Not -Be 1'
                '@(1, 2) | Should -Be 1'
                '@(1, 2) | Should -Be 1, 3'
                '$null | Should -Be 0'
                '"a" | Should -BeExactly "A"'
                '"a" | Should -Not -BeExactly "a"'
                '0 | Should -BeNullOrEmpty'
                '1 | Should -BeNullOrEmpty'
                '$null | Should -Not -BeNullOrEmpty'
                '"" | Should -Not -BeNullOrEmpty'
                '@() | Should -Not -BeNullOrEmpty'
                '0 | Should -BeTrue'
                '1 | Should -BeFalse'
                '1 | Should -Not -BeTrue'
                '1 | Should -BeGreaterThan 1'
                '@() | Should -BeGreaterThan 1'
                '1, 0 | Should -BeGreaterThan 0'
                '1 | Should -BeLessThan 1'
                '1 | Should -BeGreaterOrEqual 2'
                '2 | Should -BeLessOrEqual 1'
                '1 | Should -BeOfType string'
                '1 | Should -BeOfType ([string])'
                '1 | Should -Not -BeOfType int'
                '"abc" | Should -BeLike "b*"'
                '"abc" | Should -Match "^b"'
                '"abc" | Should -Not -Match "b"'
                '1, 2 | Should -Contain 3'
                '1, 2 | Should -Not -Contain 2'
                '1 | Should -BeIn 2, 3'
                '1, 2 | Should -HaveCount 1'
                '@() | Should -HaveCount 1'
                '1, 2 | Should -Not -HaveCount 2'
                '{ } | Should -Throw'
                '{ throw "a" } | Should -Not -Throw'
                '{ throw "a" } | Should -Throw "b*"'
                '{ throw "a" } | Should -Throw -ExpectedMessage "b*"'
                '{ throw "a" } | Should -Throw -ErrorId "b"'
                '{ throw "a" } | Should -Throw -ExceptionType ([System.ArgumentException])'
                '"a" | Should -Throw'
                '1 | Should -NoSuchOperator 1'
                '1 | Should'
                'throw "a"'
                'no-such-command'
                '[System.IO.File]::ReadAllText("/no/such/file")'
                'Mock Get-Thing { }'
                'Describe "nested" { }'
            )
            $right = @(
                '1 | Should -Be 1'
                '"a" | Should -Be "A"'
                '@(1, 2) | Should -Be 1, 2'
                '@(1, @(2, 3)) | Should -Be @(1, @(2, 3))'
                '$null | Should -Be $null'
                '@() | Should -Be $null'
                '$null | Should -BeNullOrEmpty'
                '"" | Should -BeNullOrEmpty'
                '@() | Should -BeNullOrEmpty'
                '0 | Should -Not -BeNullOrEmpty'
                '1, 2 | Should -BeGreaterThan 0'
                '@(1, 2) | Should -HaveCount 2'
                '@() | Should -HaveCount 0'
                'Should -ActualValue 1 -Be 1'
                '1 | Should -BeOfType int'
                '"abc" | Should -BeLike "A*"'
                '{ throw "abc" } | Should -Throw "a*"'
                '{ throw "abc" } | Should -Throw -ErrorId "a*" -ExceptionType ([System.Exception])'
                '({ throw "abc" } | Should -Throw -PassThru).Exception.Message | Should -Be "abc"'
                '{ 1 } | Should -Not -Throw'
            )
        }

        It 'fails <Count> wrong claims' -ForEach @{ Count = $wrong.Count; Claims = $wrong } {
            $number = 0
            $tests = foreach ($claim in $Claims) { $number++; "It 'test$number' { $claim }" }
            $run = Invoke-Sample -Text "Describe 'd' {`n$($tests -join "`n")`n}"
            $run.Results | Should -HaveCount $Count
            $passed = foreach ($result in $run.Results) {
                if ($result.Outcome -ne 'Failed') { $Claims[[int]$result.Name.Substring(6) - 1] }
            }
            $passed | Should -BeNullOrEmpty
            $silent = foreach ($result in $run.Results) { if (-not $result.Message) { $result.Name } }
            $silent | Should -BeNullOrEmpty
        }

        It 'passes <Count> right claims' -ForEach @{ Count = $right.Count; Claims = $right } {
            $number = 0
            $tests = foreach ($claim in $Claims) { $number++; "It 'test$number' { $claim }" }
            $run = Invoke-Sample -Text "Describe 'd' {`n$($tests -join "`n")`n}"
            $run.Results | Should -HaveCount $Count
            $failed = foreach ($result in $run.Results) {
                if ($result.Outcome -ne 'Passed') { "$($Claims[[int]$result.Name.Substring(6) - 1]): $($result.Message)" }
            }
            $failed | Should -BeNullOrEmpty
        }
    }

    Context 'Blocks' {
        It 'shows the variables of BeforeAll to the block''s tests, and to no others' {
            $run = Invoke-Sample -Text @'
$discovery = 'only discovery sees this'
BeforeAll { $file = 'file' }
Describe 'a' {
    BeforeAll { $outer = 'outer'; function Get-Word { 'word' } }
    It 'direct' { "$file $outer $(Get-Word) $discovery" | Should -Be 'file outer word ' }
    Context 'b' {
        BeforeAll { $inner = "$outer-inner" }
        It 'inner' { $inner | Should -Be 'outer-inner'; $inner = 'changed'; $own = 1 }
        It 'unchanged' { $inner | Should -Be 'outer-inner'; $own | Should -BeNullOrEmpty }
    }
    It 'outside' { $inner | Should -BeNullOrEmpty }
}
Describe 'c' { It 'elsewhere' { "$file $outer" | Should -Be 'file '; { Get-Word } | Should -Throw } }
'@
            foreach ($result in $run.Results) { "$($result.Outcome) $($result.Message)" | Should -Be 'Passed ' }
            $run.Results | Should -HaveCount 5
        }

        It 'shows none of its own variables' {
            $run = Invoke-Sample -Text @'
Describe 'd' {
    It 'sees nothing' {
        foreach ($candidate in 'Path', 'Tag', 'Discover', 'ResultPath', 'Item', 'Block', 'Run', 'settings', 'file', 'root', 'drive', 'Name',
            'options') {
            $ExecutionContext.SessionState.PSVariable.GetValue($candidate) | Should -BeIn $null, $false, '' -Because "it is $candidate"
        }
    }
}
'@
            $run.Results[0].Message | Should -BeNullOrEmpty
            $run.Results[0].Outcome | Should -Be 'Passed'
        }

        It 'runs BeforeEach and AfterEach around each test, outermost first and last' {
            $run = Invoke-Sample -Text @'
BeforeAll { $log = [System.Collections.Generic.List[string]]::new() }
Describe 'a' {
    BeforeEach { $log.Add('before a') }
    AfterEach { $log.Add('after a') }
    Context 'b' {
        BeforeEach { $log.Add('before b'); $each = 1 }
        AfterEach { $log.Add("after b $each") }
        It 'one' { $log.Add('one'); $each++ }
        It 'two' { $log.Add('two'); throw 'x' }
    }
    AfterAll { [System.IO.File]::WriteAllLines("$PSScriptRoot/log", $log) }
}
'@
            Get-Summary $run | Should -Be 'a b one: Passed', 'a b two: Failed'
            [System.IO.File]::ReadAllLines("$TestDrive/log") | Should -Be 'before a', 'before b', 'one', 'after b 2', 'after a', 'before a',
            'before b', 'two', 'after b 1', 'after a'
        }

        It 'fails a block''s tests if BeforeAll fails, and runs AfterAll' {
            $run = Invoke-Sample -Text @'
Describe 'a' {
    BeforeAll { throw 'no set-up' }
    AfterAll { [System.IO.File]::WriteAllText("$PSScriptRoot/after", 'ran') }
    It 'one' { }
    Context 'b' { It 'two' { } }
}
Describe 'c' { It 'three' { } }
'@
            Get-Summary $run | Should -Be 'a one: Failed', 'a b two: Failed', 'c three: Passed'
            $run.Results[0].Message | Should -BeLike "BeforeAll of 'a' failed: no set-up*"
            [System.IO.File]::Exists("$TestDrive/after") | Should -BeTrue
        }

        It 'fails a test if <_> fails' -ForEach 'BeforeEach', 'AfterEach', 'AfterAll' {
            $run = Invoke-Sample -Text "Describe 'a' { $_ { throw 'hook' }; It 'one' { } }"
            Get-Summary $run | Should -Be 'a one: Failed'
            $run.Results[0].Message | Should -Match 'hook'
        }

        It 'leaves out set-up where all is skipped' {
            $run = Invoke-Sample -Text "Describe 'a' -Skip { BeforeAll { throw 'no' }; It 'one' { }; It 'two' { } }"
            Get-Summary $run | Should -Be 'a one: Skipped', 'a two: Skipped'
        }

        It 'survives break, continue and return in a test' {
            $tests = "It 'one' { break }; It 'two' { continue }; It 'three' { return }; It 'four' { throw }"
            $run = Invoke-Sample -Text "Describe 'a' { $tests }"
            Get-Summary $run | Should -Be 'a one: Passed', 'a two: Passed', 'a three: Passed', 'a four: Failed'
        }
    }

    Context 'Data' {
        It 'makes a test of each item' {
            $run = Invoke-Sample -Text @'
BeforeDiscovery { $cases = @{ Key = 'x'; Of = @{ Deep = 'y' } }, @{ Key = 'z'; Of = @{ Deep = 'w' } } }
Describe 'of <_>' -ForEach 'p', 'q' {
    It '<Key> <Of.Deep> <unknown>' -ForEach $cases { $Key | Should -BeIn 'x', 'z'; $_.Key | Should -Be $Key }
    It 'plain <_>' -TestCases 1 { $_ | Should -Be 1 }
    It 'outer' { $_ | Should -BeIn 'p', 'q' }
}
It 'at the top' { }
Describe 'none' { It 'never' -ForEach @() { } }
'@
            Get-Summary $run | Should -Be 'of p x y <unknown>: Passed', 'of p z w <unknown>: Passed',
            'of p plain 1: Passed', 'of p outer: Passed', 'of q x y <unknown>: Passed', 'of q z w <unknown>: Passed',
            'of q plain 1: Passed', 'of q outer: Passed', 'at the top: Passed'
        }
    }

    Context 'The test drive' {
        It 'holds a block''s files, and only as long as the block runs' {
            $run = Invoke-Sample -Text @'
Describe 'a' {
    BeforeAll { [System.IO.File]::WriteAllText("$TestDrive/a", 'a') }
    Context 'b' {
        It 'one' { [System.IO.File]::WriteAllText("$TestDrive/b", 'b'); [System.IO.File]::Exists("$TestDrive/a") | Should -BeTrue }
    }
    It 'two' { [System.IO.File]::Exists("$TestDrive/b") | Should -BeFalse; [System.IO.File]::Exists("$TestDrive/a") | Should -BeTrue }
    It 'is a drive' { $ExecutionContext.InvokeProvider.Item.Exists('TestDrive:/a') | Should -BeTrue }
}
Describe 'c' { It 'three' { [System.IO.File]::Exists("$TestDrive/a") | Should -BeFalse } }
'@
            foreach ($result in $run.Results) { "$($result.Outcome) $($result.Message)" | Should -Be 'Passed ' }
            $run.Results | Should -HaveCount 4
        }
    }

    Context 'Choice' {
        BeforeAll {
            $sample = "Describe 'a' -Tag Slow { It 'one' { }; It 'two' -Tag Net { } }",
            "Describe 'b' { It 'three' -Tag Net { }; It 'four' { } }" -join "`n"
        }

        It 'runs the tests with -Tag' {
            Get-Summary (Invoke-Sample -Text $sample -Argument '-Tag', 'Net') | Should -Be 'a two: Passed', 'b three: Passed'
        }

        It 'leaves out the tests with -ExcludeTag' {
            Get-Summary (Invoke-Sample -Text $sample -Argument '-ExcludeTag', 'Slow') | Should -Be 'b three: Passed', 'b four: Passed'
        }

        It 'lists tests without running them' {
            $run = Invoke-Sample -Text "Describe 'a' { BeforeAll { throw 'x' }; It 'one' { throw 'x' } }" -Argument '-Discover'
            Get-Summary $run | Should -Be 'a one: Discovered'
            $run.Code | Should -Be 0
        }

        It 'reports what Set-ItResult says' {
            $tests = "It 'one' { Set-ItResult -Skipped -Because 'of that'; throw 'x' }; It 'two' { Set-ItResult -Inconclusive }"
            $run = Invoke-Sample -Text "Describe 'a' { $tests }"
            Get-Summary $run | Should -Be 'a one: Skipped', 'a two: Inconclusive'
            $run.Results[0].Message | Should -Be 'of that'
            $run.Code | Should -Be 1
        }
    }

    Context 'Discovery' {
        It 'fails a file that <Name>' -ForEach @(
            @{ Name = 'does not parse'; Text = "Describe 'a' {" }
            @{ Name = 'throws'; Text = "Describe 'a' { throw 'x'; It 'one' { } }" }
            @{ Name = 'uses an unknown command'; Text = "Describe 'a' { InModuleScope X { }; It 'one' { } }" }
            @{ Name = 'uses an unknown parameter'; Text = "Describe 'a' { It 'one' -NoSuch { } }" }
            @{ Name = 'has a test without a body'; Text = "Describe 'a' { It 'one'`n{ } }" }
            @{ Name = 'has two BeforeAll in a block'; Text = "Describe 'a' { BeforeAll { }; BeforeAll { }; It 'one' { } }" }
        ) {
            $run = Invoke-Sample -Text $Text
            Get-Summary $run | Should -Be 'Sample.Tests.ps1: DiscoveryFailed'
            $run.Results[0].Message | Should -Match '^Discovery failed: '
            $run.Code | Should -Be 1
        }
    }
}
