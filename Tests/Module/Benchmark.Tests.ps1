# That the benchmark works, not what it measures: its smallest run.

[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    $program = Find-TestProgram -Folder "$PSScriptRoot/../Benchmark" -Name C10kServer.Benchmark
    $report = [System.IO.Path]::GetTempFileName()
    $start = [System.Diagnostics.ProcessStartInfo]::new($program.Dotnet)
    $start.RedirectStandardOutput = $start.RedirectStandardError = $true

    # Any noise will do, but each server has to have answered something.
    $words = '--only', 'load', '--case', 'e100', '--quick', '--rounds', '1', '--noise', '1', '--tries', '10', '--output', $report
    foreach ($word in @('exec', $program.Path) + $words) { $start.ArgumentList.Add($word) }
    $process = [System.Diagnostics.Process]::Start($start)
    $output = $process.StandardOutput.ReadToEndAsync()
    $errors = $process.StandardError.ReadToEndAsync()
    $ended = $process.WaitForExit(180000)
    if (-not $ended) { $process.Kill($true) }
}

AfterAll {
    [System.IO.File]::Delete($report)
}

Describe 'The benchmark' {
    It 'runs to its end' {
        $ended | Should -BeTrue
        $process.ExitCode | Should -Be 0 -Because $errors.Result
    }

    It 'puts every server into the table of a case, with figures and without errors' {
        $lines = [System.IO.File]::ReadAllLines($report)
        foreach ($server in 'C10kServer', 'SocketAsyncEventArgs', 'Kestrel') {
            $row = @($lines -match "^\| $server +\|")
            $row | Should -HaveCount 1
            $cells = $row[0].Trim('|').Split('|').Trim()
            [double]::Parse($cells[1], [cultureinfo]::InvariantCulture) | Should -BeGreaterThan 0
            [double]::Parse($cells[3], [cultureinfo]::InvariantCulture) | Should -BeGreaterThan 0
            $cells[-1] | Should -Be 0
        }
    }

    It 'prints what it writes' {
        $output.Result.TrimEnd() | Should -Be ([System.IO.File]::ReadAllText($report).TrimEnd())
    }
}
