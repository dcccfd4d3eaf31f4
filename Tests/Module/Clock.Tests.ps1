# A wall clock that is set while servers run, as after a suspend: in a shell of its own, whose clock is the one of Faults/clock.c. It wants gcc;
# where that is missing, the tests are skipped and say so.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $compiler = @(Get-Command gcc -CommandType Application -ErrorAction Ignore)
}

Describe 'A wall clock that is set by <Name>' -Skip:($compiler.Count -eq 0) -ForEach @(
    @{ Name = 'a day ahead'; Seconds = 86400 }
    @{ Name = 'an hour back'; Seconds = -3600 }
    @{ Name = 'fifty years, as where a machine begins without a clock'; Seconds = 1577880000 }
) {
    BeforeAll {
        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-clock-').FullName
        & gcc -shared -fPIC -O2 -fvisibility=hidden -o "$folder/clock.so" "$PSScriptRoot/../Faults/clock.c"
        if ($LASTEXITCODE) { throw 'The clock cannot be compiled.' }
        [System.IO.File]::WriteAllBytes("$folder/shift", [byte[]]::new(8))
        [System.IO.File]::WriteAllText("$folder/run.ps1", @'
param($Manifest, $Module, $Shift)

$ErrorActionPreference = 'Stop'
Import-Module $Manifest
Import-Module $Module
$one = Start-C10kServer -Name one -Workers 1 -LogLevel Debug
$early = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $one.Port)
Wait-Until { $one.ConnectionCount -eq 1 -and @(Get-C10kConnection one).Count -eq 1 }
$before = Get-C10kConnection one
$clock = [System.Diagnostics.Stopwatch]::StartNew()

# In place: the file is mapped.
$file = [System.IO.File]::OpenWrite($Shift)
$file.Write([BitConverter]::GetBytes([long]$env:C10K_CLOCK_SECONDS))
$file.Dispose()
$now = [datetimeoffset]::Now
$two = Start-C10kServer -Name two -Workers 1
$late = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $one.Port)
Wait-Until { @(Get-C10kConnection one).Count -eq 2 }
$rows = @(Get-C10kConnection one | Sort-Object Id)
$early.Dispose()
Wait-Until { $one.Closed -eq 1 }
$closed = Get-C10kConnection one -Closed
$late.Dispose()
$records = @(Get-C10kLog one)
@{
    Now      = $now
    OneLog   = $records.Where({ $_.EventName -eq 'ServerStarted' })[0].Time
    One      = $one.StartTime
    TwoLog   = @(Get-C10kLog two)[0].Time
    Two      = $two.StartTime
    Metric   = [double]([regex]::Match(($two | ConvertTo-C10kPrometheus), '(?m)^c10k_server_start_time_seconds\S* (\S+)$').Groups[1].Value)
    Early    = $rows[0].StartTime
    First    = $before.StartTime
    EarlyLog = $records.Where({ $_.EventName -eq 'ConnectionOpened' })[0].Time
    Late     = $rows[1].StartTime
    LateLog  = $records.Where({ $_.EventName -eq 'ConnectionOpened' })[1].Time
    Ended    = $closed.EndTime
    EndedLog = $records.Where({ $_.EventName -eq 'ConnectionClosed' })[0].Time
    Began    = $closed.StartTime
    Age      = $closed.AgeSeconds
    Idle     = $closed.IdleSeconds
    Sample   = ($one | Measure-C10kServer -Interval 10ms).Time
    Uptime   = $one.Uptime.TotalSeconds
    Passed   = $clock.Elapsed.TotalSeconds
} | ConvertTo-Json
Get-C10kServer | Stop-C10kServer
'@)
        [string[]] $words = [Environment]::ProcessPath
        if ([System.IO.Path]::GetFileName($words[0]) -eq 'dotnet') { $words += 'exec', "$PSHOME/pwsh.dll" }
        $start = [System.Diagnostics.ProcessStartInfo]::new($words[0])
        $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
        $more = '-NoProfile', '-File', "$folder/run.ps1", "$root/C10kServer.psd1", "$PSScriptRoot/../Clients/TestClient.psm1", "$folder/shift"
        foreach ($word in @($words | Select-Object -Skip 1) + $more) { $start.ArgumentList.Add($word) }
        $start.Environment['LD_PRELOAD'] = "$folder/clock.so"
        $start.Environment['C10K_CLOCK'] = "$folder/shift"
        $start.Environment['C10K_CLOCK_SECONDS'] = "$Seconds"
        $start.RedirectStandardOutput = $start.RedirectStandardError = $true
        $process = [System.Diagnostics.Process]::Start($start)
        $failure = $process.StandardError.ReadToEndAsync()
        $text = $process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        if ($process.ExitCode) { throw "The shell has failed: $text $($failure.Result)" }

        # As text, or they would be DateTime in the local time zone.
        $seen = $text | ConvertFrom-Json -DateKind Offset

        # The machine may stand still for a while, but not for half of what the clock was set by.
        function Confirm-Near([datetimeoffset] $Time, [datetimeoffset] $Other, [string] $Because) {
            [Math]::Abs(($Time - $Other).TotalSeconds) | Should -BeLessThan 1800 -Because "$Because ($Time, $Other)"
        }
    }

    AfterAll {
        [System.IO.Directory]::Delete($folder, $true)
    }

    It 'was set in the shell' {
        [Math]::Abs(($seen.Now - $seen.OneLog).TotalSeconds - $Seconds) | Should -BeLessThan 1800
    }

    It 'is the one of the start of a server, as in its log and its metric' {
        Confirm-Near $seen.Two $seen.TwoLog 'StartTime and log'
        Confirm-Near $seen.Two $seen.Now 'StartTime and the clock'
        [Math]::Abs($seen.Metric - $seen.Two.ToUnixTimeMilliseconds() / 1000) | Should -BeLessThan 0.01
    }

    It 'is the one of each connection''s beginning and end, as in the log' {
        Confirm-Near $seen.Late $seen.LateLog 'StartTime and log'
        Confirm-Near $seen.Late $seen.Now 'StartTime and the clock'
        Confirm-Near $seen.Ended $seen.EndedLog 'EndTime and log'
        Confirm-Near $seen.Ended $seen.Now 'EndTime and the clock'
        Confirm-Near $seen.Sample $seen.Now 'a sample and the clock'
    }

    It 'changes no time of what was before' {
        Confirm-Near $seen.One $seen.OneLog 'a server'
        Confirm-Near $seen.Early $seen.EarlyLog 'a connection'
        $seen.Early | Should -Be $seen.First
        $seen.Began | Should -Be $seen.First
    }

    It 'changes no duration' {
        foreach ($name in 'Age', 'Idle', 'Uptime') {
            $seen.$name | Should -BeGreaterOrEqual 0 -Because $name
            $seen.$name | Should -BeLessThan 1800 -Because $name
        }
    }
}
